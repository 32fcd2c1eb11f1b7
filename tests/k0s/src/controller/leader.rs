//! Which controllers live, and which of them leads.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Context;
use crate::lease::{CONTROLLER_LABEL, Claim};
use crate::signals;

const LEADER_SECONDS: i32 = 15;
const LIVE_SECONDS: i32 = 30;
const RENEWAL: Duration = Duration::from_secs(3);

/// Holds the controller's own lease and strives for the leader's, until the end.
pub async fn run(context: &Context, lead: watch::Sender<bool>, mut stopped: watch::Receiver<bool>) {
    let claim = |name: String, seconds, label| {
        Claim::new(
            context.client.clone(),
            name,
            &context.invocation,
            seconds,
            label,
        )
    };
    // Whoever had this host name before is gone: its lease is ours at once.
    let own = Claim::new(
        context.client.clone(),
        format!("k0s-ctrl-{}", context.node_name),
        &context.node_name,
        LIVE_SECONDS,
        Some(CONTROLLER_LABEL),
    );
    let leader = claim("k0s-endpoint-reconciler".into(), LEADER_SECONDS, None);
    tokio::select! {
        () = strive(&own, &leader, &lead) => {}
        () = signals::on(&mut stopped) => {}
    }
    let give_back = async {
        leader.release().await;
        own.release().await;
    };
    tokio::time::timeout(Duration::from_secs(2), give_back)
        .await
        .ok();
}

async fn strive(own: &Claim, leader: &Claim, lead: &watch::Sender<bool>) {
    let mut renewed = Instant::now();
    loop {
        if let Err(error) = own.hold().await {
            tracing::warn!("failed to renew the controller's lease: {error:#}");
        }
        match leader.hold().await {
            Ok(leads) => {
                renewed = Instant::now();
                if lead.send_replace(leads) != leads {
                    let verdict = if leads { "leads" } else { "no longer leads" };
                    tracing::info!("this controller {verdict}");
                }
            }
            Err(error) => {
                tracing::warn!("failed to renew the leader's lease: {error:#}");
                if renewed.elapsed() > Duration::from_secs(10) {
                    lead.send_replace(false);
                }
            }
        }
        tokio::time::sleep(RENEWAL).await;
    }
}
