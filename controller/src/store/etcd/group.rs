//! A group as one etcd transaction: each request nested in it, with its own
//! comparisons and its own outcome.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use overlay::txn::{Op, Transaction};

use super::{prefix::Prefix, signed};

pub fn build(prefix: &Prefix, group: Vec<Transaction>) -> Txn {
    let nested: Vec<TxnOp> = group
        .into_iter()
        .map(|request| TxnOp::txn(nested(prefix, request)))
        .collect();
    Txn::new().and_then(nested)
}

/// Which requests held, in the order in which they were given.
pub fn outcome(answer: &TxnResponse) -> Vec<bool> {
    let answers = answer.op_responses().into_iter();
    answers
        .map(|answer| match answer {
            TxnOpResponse::Txn(nested) => nested.succeeded(),
            TxnOpResponse::Put(_) | TxnOpResponse::Get(_) | TxnOpResponse::Delete(_) => false,
        })
        .collect()
}

fn nested(prefix: &Prefix, request: Transaction) -> Txn {
    let compares: Vec<Compare> = request
        .compares
        .iter()
        .map(|compare| {
            // A key that is absent compares as modified at 0.
            let key = prefix.join(&compare.key);
            Compare::mod_revision(key, CompareOp::Equal, signed(compare.revision))
        })
        .collect();
    let ops: Vec<TxnOp> = request.ops.into_iter().map(|op| one(prefix, op)).collect();
    Txn::new().when(compares).and_then(ops)
}

fn one(prefix: &Prefix, op: Op) -> TxnOp {
    match op {
        Op::Put { key, value, ttl } => {
            let options = ttl.map(|ttl| PutOptions::new().with_lease(ttl.0));
            TxnOp::put(prefix.join(&key), value, options)
        }
        Op::Delete { key } => TxnOp::delete(prefix.join(&key), None),
    }
}
