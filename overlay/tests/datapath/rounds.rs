//! The plan reaches the desired state from whatever it finds.

use model::{kernel::Kernel, make::hosts};
use overlay::datapath::{host::Host, observed::Observed, plan::plan, step::Step};
use proptest::prelude::*;

use super::{cases, right::wrong, with_leftovers};

/// How many rounds it took until a plan had nothing more to do.
pub fn rounds(host: &Host, kernel: &mut Kernel) -> Result<u32, TestCaseError> {
    let mut done: Vec<String> = Vec::new();
    for round in 0..3 {
        let seen = kernel.observe();
        let steps = plan(host, &seen).steps;
        if steps.is_empty() {
            return Ok(round);
        }
        done.extend(steps.iter().map(Step::to_string));
        for (step, refusal) in kernel.apply_all(&steps) {
            done.push(format!("refused: {step}: {refusal}"));
        }
    }
    prop_assert!(false, "there is no end to it: {:#?}", done);
    Ok(3)
}

proptest! {
    #![proptest_config(cases(600))]

    /// In one round, but for what is in vain.
    #[test]
    fn a_plan_reaches_the_desired_state_from_any_leftovers((host, seen) in with_leftovers(hosts())) {
        let mut kernel = Kernel::under(&host, seen.clone());
        let rounds = rounds(&host, &mut kernel)?;
        prop_assert_eq!(wrong(&host, &kernel.observe()), Vec::<String>::new());
        prop_assert!(rounds <= 1, "{} rounds: {:#?}", rounds, printed(&host, &seen));
    }

    /// On a kernel that never heard of us every step is done.
    #[test]
    fn a_fresh_kernel_refuses_nothing(host in hosts()) {
        let kernel = super::settled(&host);
        prop_assert_eq!(plan(&host, &kernel.observe()).steps, []);
        prop_assert_eq!(wrong(&host, &kernel.observe()), Vec::<String>::new());
    }

    /// Whatever somebody else has there.
    #[test]
    fn no_step_is_refused((host, seen) in with_leftovers(hosts())) {
        let mut kernel = Kernel::under(&host, seen.clone());
        prop_assert_eq!(kernel.apply_all(&plan(&host, &seen).steps), []);
    }
}

fn printed(host: &Host, seen: &Observed) -> Vec<String> {
    plan(host, seen).steps.iter().map(Step::to_string).collect()
}
