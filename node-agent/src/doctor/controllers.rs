//! How long controllers take to answer, and what their clocks say.

use std::time::{Duration, Instant};

use options::clock;
use overlay::doctor::{Answer, Controller};
use tokio::{task::JoinSet, time::timeout};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    access::Access,
    session::{SessionError, connect},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// All at once, in their order.
pub async fn asked(urls: &[String], access: &Access) -> Vec<Controller> {
    let mut asking = JoinSet::new();
    for (place, url) in urls.iter().cloned().enumerate() {
        let access = access.clone();
        asking.spawn(async move {
            let answer = timeout(PATIENCE, once(&url, &access)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer".into()));
            (place, Controller { url, answer })
        });
    }
    let mut asked = asking.join_all().await;
    asked.sort_by_key(|(place, _)| *place);
    asked
        .into_iter()
        .map(|(_, controller)| controller)
        .collect()
}

async fn once(url: &str, access: &Access) -> Result<Answer, String> {
    let sentence = |error: SessionError| match error {
        SessionError::Unreachable { reason, .. } => reason,
        other => options::sentence(&other),
    };
    let line = access.line(url).map_err(sentence)?;
    let began = Instant::now();
    let channel = connect(url, &line).await.map_err(sentence)?;
    let connected = began.elapsed();
    let (asked, before) = (Instant::now(), clock::now_ms());
    // Whoever it is may ask this.
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    let answer = answer.map_err(|status| status.message().to_owned())?;
    let answered = asked.elapsed();
    let date = answer
        .metadata()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let middle_s = i64::try_from((before + clock::now_ms()) / 2_000).unwrap_or(i64::MAX);
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Ok(Answer {
        connected_us: us(connected),
        answered_us: us(answered),
        ahead_s: date.and_then(seconds).map(|told| told - middle_s),
    })
}

/// Since 1970, of a date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = date.split([' ', ':']).skip(1);
    let mut word = || words.next();
    let day: i64 = word()?.parse().ok()?;
    let name = word()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()?;
    let year: i64 = word()?.parse().ok()?;
    let [hour, minute, second] = [word()?, word()?, word()?].map(|part| part.parse::<i64>());
    // Years that begin in March have the leap day last.
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some(((days * 24 + hour.ok()?) * 60 + minute.ok()?) * 60 + second.ok()?)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_of_http_are_read() {
        for (date, at) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Sun, 22 Nov 2026 00:00:01 GMT", 1_795_305_601),
        ] {
            assert_eq!(seconds(date), Some(at), "{date}");
        }
        for nonsense in [
            "",
            "today",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, x Nov 1994",
        ] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }
}
