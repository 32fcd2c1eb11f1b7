//! What the product is allowed to do: every right that is shipped is used, and each that is taken
//! away is missed and said, for the installation as it is and for the one that keeps to a namespace.

mod documented;
mod life;
mod limits;
mod missed;
mod used;

use std::fmt::Write as _;
use std::ops::Deref;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use support::light::process::Process;
use support::light::rights::Right;
use support::light::world::World;
use support::{case, runner};

/// The mothership that both kinds of cases share.
pub struct Installed {
    // Dropped before the API server that it watches.
    webhook: Mutex<Option<Process>>,
    world: World,
    told: Mutex<Vec<String>>,
}

/// With an admission plugin that some distributions have, the API server asks whether somebody who
/// gives an object an owner may delete it, although nobody does.
pub fn is_asked_by_admission(right: &Right) -> bool {
    right.resource == "jointokenrequests" && right.verb == "delete"
}

impl Installed {
    async fn start() -> Result<Self> {
        let world = World::without_webhook().await?;
        Ok(Self {
            webhook: Mutex::new(Some(world.start_webhook().await?)),
            world,
            told: Mutex::default(),
        })
    }

    async fn stop_webhook(&self) -> Result<()> {
        let webhook = self
            .webhook
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match webhook {
            Some(webhook) => webhook.stop().await,
            None => Ok(()),
        }
    }

    fn say(&self, line: impl Into<String>) {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.into());
    }
}

impl runner::World for Installed {
    type Scene = Self;
    // Those who hold all rights and those who lack one would compete for the same lease.
    const AT_ONCE: usize = 1;
    const LIMIT: Duration = Duration::from_secs(150);

    async fn scene(&self, _: &str) -> Result<impl Deref<Target = Self>> {
        Ok(self)
    }

    async fn end(self, well: bool) -> Result<()> {
        drop(self.webhook);
        runner::World::end(self.world, well).await
    }
}

impl runner::Scene for Installed {
    fn told(&self) -> String {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.drain(..).fold(String::new(), |mut all, line| {
            let _ = write!(all, "\n    {line}");
            all
        })
    }

    async fn look_around(&self) -> String {
        String::new()
    }
}

fn main() -> ExitCode {
    runner::main(
        Installed::start(),
        &[
            case!(documented::each_rule_has_a_row_in_the_book),
            case!(used::every_right_is_used_and_nothing_else_is_asked_for),
            case!(used::the_overlay_for_one_namespace_is_enough_and_no_more),
            case!(missed::each_right_of_the_controller_is_missed_and_said),
            case!(missed::each_right_of_the_webhook_is_missed_and_said),
            // Last: it is refused on purpose.
            case!(limits::the_webhook_changes_bundles_and_nothing_else),
            case!(limits::the_webhook_writes_the_data_of_one_secret),
        ],
    )
}
