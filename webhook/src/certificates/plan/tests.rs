//! What is done at which moment.

use rstest::rstest;

use super::*;

mod world;

const TIMINGS: Timings = Timings {
    ca: SignedDuration::from_secs(9000),
    leaf: SignedDuration::from_secs(900),
    settle: SignedDuration::from_secs(10),
    grace: SignedDuration::from_secs(60),
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ca(name: &str, made: i64, until: i64) -> Ca {
    Ca {
        pem: format!("<{name}>"),
        span: Span {
            made: at(made),
            until: at(until),
        },
        signs: true,
    }
}

fn leaf(made: i64, until: i64) -> Leaf {
    Leaf {
        span: Span {
            made: at(made),
            until: at(until),
        },
        named: true,
    }
}

/// A CA from 0 to 9000 and a leaf of it from 0 to 900.
fn settled() -> Material {
    Material {
        current: Some(ca("a", 0, 9000)),
        leaf: Some(leaf(0, 900)),
        promoted: Some(at(0)),
        ..Material::default()
    }
}

fn with(change: impl FnOnce(&mut Material)) -> Material {
    let mut material = settled();
    change(&mut material);
    material
}

fn seen(text: &str, since: i64) -> Vec<Bundle> {
    vec![Bundle {
        text: text.to_owned(),
        since: at(since),
    }]
}

#[rstest]
#[case::nothing_is_there(Material::default(), 100, Some(Change::Begin))]
#[case::all_is_well(settled(), 100, None)]
#[case::the_leaf_has_lived_two_thirds(settled(), 600, Some(Change::Issue))]
#[case::the_leaf_has_not(settled(), 599, None)]
#[case::the_leaf_has_expired(settled(), 900, Some(Change::Issue))]
#[case::the_leaf_cannot_be_read(with(|m| m.leaf = None), 1, Some(Change::Issue))]
#[case::another_name_is_wanted(
    with(|m| m.leaf.as_mut().unwrap().named = false), 1, Some(Change::Issue)
)]
#[case::the_ca_has_lived_two_thirds(
    with(|m| m.leaf = Some(leaf(5900, 6800))), 6000, Some(Change::Prepare)
)]
#[case::its_key_is_lost(
    with(|m| m.current.as_mut().unwrap().signs = false), 1, Some(Change::Prepare)
)]
#[case::its_key_is_lost_beside_an_old_ca(
    with(|m| {
        m.current.as_mut().unwrap().signs = false;
        m.old = Some(ca("o", -6000, 3000));
        m.promoted = Some(at(90));
    }), 100, None
)]
#[case::it_has_not_begun_beside_an_old_ca(
    with(|m| {
        m.current = Some(ca("b", 3600, 12600));
        m.old = Some(ca("o", -6000, 3000));
        m.promoted = Some(at(90));
    }), 100, Some(Change::Prepare)
)]
#[case::its_key_and_the_leaf_are_lost(
    with(|m| { m.current.as_mut().unwrap().signs = false; m.leaf = None; }), 1, Some(Change::Begin)
)]
#[case::everything_has_expired(settled(), 9000, Some(Change::Begin))]
#[case::everything_has_expired_but_the_next_ca(
    with(|m| m.next = Some(ca("b", 8000, 17000))), 9000, Some(Change::Promote)
)]
#[case::a_leaf_that_ends_with_its_ca_cannot_be_made_longer(
    with(|m| { m.next = Some(ca("b", 6000, 15000)); m.leaf = Some(leaf(8100, 9000)); }),
    8900, None
)]
fn what_is_done_with_the_secret(
    #[case] material: Material,
    #[case] now: i64,
    #[case] expected: Option<Change>,
) {
    let step = plan(&material, Some(&seen("<other>", 0)), TIMINGS, at(now));
    assert_eq!(step.change, expected);
}

#[test]
fn a_foreign_bundle_is_replaced_while_all_else_is_well() {
    for text in ["", "<x>", "<a><x>"] {
        let step = plan(&settled(), Some(&seen(text, 0)), TIMINGS, at(100));
        assert_eq!(step.publish.as_deref(), Some("<a>"), "{text}");
    }
    assert_eq!(
        plan(&settled(), Some(&seen("<a>", 0)), TIMINGS, at(100)).publish,
        None
    );
}

#[test]
fn the_next_ca_signs_only_after_every_bundle_has_held_it_for_a_while() {
    let material = with(|m| m.next = Some(ca("b", 50, 9050)));
    let mut bundles = seen("<a><b>", 60);
    bundles.extend(seen("<a>", 0));
    let step = plan(&material, Some(&bundles), TIMINGS, at(100));
    assert_eq!(
        (step.publish.as_deref(), step.change),
        (Some("<a><b>"), None)
    );
    bundles[1] = seen("<a><b>", 101).remove(0);
    let step = plan(&material, Some(&bundles), TIMINGS, at(110));
    assert_eq!(
        (step.publish, step.change, step.again),
        (None, None, at(111))
    );
    let step = plan(&material, Some(&bundles), TIMINGS, at(111));
    assert_eq!(step.change, Some(Change::Promote));
    // While nobody knows what the bundles hold, it waits.
    assert_eq!(plan(&material, None, TIMINGS, at(500)).change, None);
}

#[test]
fn the_old_ca_goes_after_the_replicas_had_their_time() {
    let material = with(|m| {
        m.old = Some(ca("o", -6000, 3000));
        m.promoted = Some(at(100));
    });
    let step = |now| plan(&material, Some(&seen("<a><o>", 0)), TIMINGS, at(now));
    assert_eq!((step(159).change, step(159).again), (None, at(160)));
    assert_eq!(step(160).change, Some(Change::Forget));
}

#[test]
fn an_old_ca_that_has_expired_is_in_no_bundle() {
    let material = with(|m| m.old = Some(ca("o", -9000, 0)));
    let step = plan(&material, Some(&seen("<a><o>", 0)), TIMINGS, at(1));
    assert_eq!(
        (step.publish.as_deref(), step.change),
        (Some("<a>"), Some(Change::Forget))
    );
}
