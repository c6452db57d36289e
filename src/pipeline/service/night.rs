//! What the service does at night: it makes one file of the many that a day was written in.

use std::time::Duration;

use jiff::{ToSpan, Zoned};

use super::{Service, pause};
use crate::failpoint;
use crate::pipeline::RunError;

/// The hour of the night in the time zone of the lake's days: calls are few, and the day before is over.
const HOUR: i8 = 3;

impl Service<'_> {
    /// Compacts the closed days of the lake once a night. Ends when the service stops.
    pub(super) async fn keep_night(&self) {
        while !self.stop.is_draining() {
            pause(&self.stop, self.until_night()).await;
            if self.stop.is_draining() {
                return;
            }
            match self.compact().await {
                Ok(0) => {}
                Ok(files) => tracing::info!(files, "closed days were compacted"),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "closed days could not be compacted");
                }
            }
        }
    }

    /// Returns how many files there were.
    async fn compact(&self) -> Result<usize, RunError> {
        let run = self.open("schedule").await?;
        let mut files = 0;
        run.publisher.compact(false, |done| files += done.files).await?;
        Ok(files)
    }

    fn until_night(&self) -> Duration {
        let for_a_test = failpoint::value("night-in-ms").and_then(|millis| millis.parse().ok());
        for_a_test.map_or_else(
            || until_hour(&Zoned::now().with_time_zone(self.config.lake.partition_timezone.clone())),
            Duration::from_millis,
        )
    }
}

/// How long it is from `now` to the next time that it is [`HOUR`] o'clock there.
fn until_hour(now: &Zoned) -> Duration {
    let at_hour = |day: &Zoned| day.with().hour(HOUR).minute(0).second(0).subsec_nanosecond(0).build();
    let today = at_hour(now).ok().filter(|night| night > now);
    let night = today.or_else(|| at_hour(&now.checked_add(1.day()).ok()?).ok());
    let wait = night.map(|night| now.duration_until(&night)).and_then(|wait| Duration::try_from(wait).ok());
    wait.unwrap_or(Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_is_that_of_the_lakes_days() {
        let hours = |now: &str| until_hour(&now.parse().unwrap()).as_secs() / 3_600;
        assert_eq!(hours("2026-11-02T01:00:00+09:00[Asia/Tokyo]"), 2);
        assert_eq!(hours("2026-11-02T03:00:00+09:00[Asia/Tokyo]"), 24);
        assert_eq!(hours("2026-11-02T23:00:00+09:00[Asia/Tokyo]"), 4);
        // The clocks go back at three: the night is an hour longer.
        assert_eq!(hours("2026-10-24T22:00:00+02:00[Europe/Berlin]"), 6);
    }
}
