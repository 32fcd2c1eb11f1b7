//! Who takes a lease, and when it is given up.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use kube::client::Body;
use parking_lot::Mutex;

use super::*;

fn held_by(holder: &str, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

#[test]
fn a_lease_is_taken_when_it_is_nobodys_or_its_holder_is_silent() {
    let start = Instant::now();
    let seen = (held_by("b", 1), start);
    let after = |spec: &LeaseSpec, wait: Duration| claim("a", Some(&seen), spec, start + wait);
    let unchanged = held_by("b", 1);
    assert_eq!(claim("a", None, &LeaseSpec::default(), start), Claim::Take);
    assert_eq!(claim("a", None, &held_by("", 3), start), Claim::Take);
    assert_eq!(claim("a", None, &held_by("a", 3), start), Claim::Take);
    // The clock of its holder counts for nothing: the time begins when it is first seen.
    assert_eq!(claim("a", None, &unchanged, start), Claim::Remember);
    assert_eq!(after(&unchanged, LEASE), Claim::Wait);
    let late = LEASE + Duration::from_millis(1);
    assert_eq!(after(&unchanged, late), Claim::Take);
    // It was renewed, or another took it.
    assert_eq!(after(&held_by("b", 2), late), Claim::Remember);
    assert_eq!(after(&held_by("c", 2), late), Claim::Remember);
}

/// A lease in an API server that answers as it is told to: `answers` has how long each write
/// takes from the second on, and whether it is done. Returns how it ended and after how long,
/// and the moments of the writes, in seconds.
async fn leads(
    answers: &'static [(f32, bool)],
    stop: f32,
    drained: f32,
) -> (Result<(), LeaderError>, f32, Vec<f32>) {
    let start = Instant::now();
    let since = move || (start.elapsed().as_secs_f32() * 10.0).round() / 10.0;
    let writes = Arc::new(Mutex::new(Vec::new()));
    let lease = Arc::new(Mutex::new(Lease::default()));
    let noted = writes.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (noted, lease) = (noted.clone(), lease.clone());
        async move {
            let answer = |code: u16, body: Vec<u8>| {
                let answer = http::Response::builder().status(code);
                answer.body(Body::from(body)).unwrap()
            };
            if request.method() == http::Method::PUT {
                let written = request.into_body().collect().await.unwrap().to_bytes();
                let index = noted.lock().len();
                noted.lock().push(since());
                let told = index.checked_sub(1).and_then(|index| answers.get(index));
                let (takes, done) = *told.unwrap_or(&(0.0, true));
                tokio::time::sleep(Duration::from_secs_f32(takes)).await;
                if !done {
                    let status = kube::core::Status::failure("no", "InternalError");
                    let status = serde_json::to_vec(&status.with_code(500)).unwrap();
                    return Ok::<_, std::convert::Infallible>(answer(500, status));
                }
                *lease.lock() = serde_json::from_slice(&written).unwrap();
            }
            let lease = serde_json::to_vec(&*lease.lock()).unwrap();
            Ok(answer(200, lease))
        }
    });
    let candidate = Candidate::new(Client::new(service, "ns"), "ns", "lease", "a");
    let after = |seconds: f32| {
        let token = CancellationToken::new();
        let cancels = token.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs_f32(seconds)).await;
            cancels.cancel();
        });
        token
    };
    let (leads, _) = watch::channel(false);
    let ended = candidate.run(leads, after(stop), after(drained)).await;
    let writes = writes.lock().clone();
    (ended, since(), writes)
}

#[tokio::test(start_paused = true)]
async fn one_renewal_that_is_slow_or_fails_costs_nobody_the_lease() {
    for told in [
        &[(3.5, true)],
        &[(60.0, true)],
        &[(1.0, false)],
        &[(2.9, false)],
    ] {
        let (ended, after, writes) = leads(told, 30.0, 30.0).await;
        assert!(
            ended.is_ok(),
            "{told:?}: {ended:?} after {after} s, {writes:?}"
        );
    }
    // As many as fit into the time.
    let quick = &[(0.0, false), (0.0, false), (0.0, false), (0.0, false)];
    let (ended, _, writes) = leads(quick, 14.0, 14.0).await;
    assert!(ended.is_ok());
    assert_eq!(writes[..6], [0.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_is_given_up_in_time() {
    for told in [&[(0.2, false); 9], &[(60.0, true); 9], &[(2.0, false); 9]] {
        let (ended, after, _) = leads(told, 60.0, 60.0).await;
        assert!(matches!(ended, Err(LeaderError::NotRenewed { .. })));
        assert!((after - DEADLINE.as_secs_f32()).abs() < 0.1, "{after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_for_as_long_as_anything_may_be_written() {
    let (ended, after, writes) = leads(&[], 7.0, 22.0).await;
    assert!(ended.is_ok());
    // The last one gives it back.
    assert_eq!(writes, [0.0, 5.0, 10.0, 15.0, 20.0, 22.0]);
    assert!((after - 22.0).abs() < 0.1, "{after} s");
}

#[test]
fn a_leader_has_stopped_before_another_may_take_its_lease() {
    let start = Instant::now();
    let left = |after: Duration| time_for_a_round(Some(start), start + after);
    assert_eq!(time_for_a_round(None, start), Some(REQUEST));
    assert_eq!(left(RENEW), Some(REQUEST));
    assert_eq!(left(DEADLINE.saturating_sub(RETRY)), Some(RETRY));
    assert_eq!(left(DEADLINE), None);
    assert_eq!(left(DEADLINE + RENEW), None);
    assert!(DEADLINE < LEASE);
}
