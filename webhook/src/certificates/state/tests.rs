use jiff::SignedDuration;

use super::*;
use crate::certificates::plan::plan;

fn timings() -> Timings {
    Timings::new(
        SignedDuration::from_hours(100),
        SignedDuration::from_hours(10),
    )
}

fn names() -> Vec<String> {
    vec!["a.b.svc".to_owned(), "127.0.0.1".to_owned()]
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn changed(stored: Stored, change: Change) -> Stored {
    stored.changed(change, &names(), timings(), now()).unwrap()
}

fn written(stored: &Stored) -> Secret {
    Secret {
        data: Some(stored.data()),
        ..Secret::default()
    }
}

#[test]
fn what_is_made_needs_nothing_done_about_it_and_reads_back() {
    let stored = changed(Stored::default(), Change::Begin);
    let facts = Stored::read(&written(&stored)).facts(&names());
    assert_eq!(facts, stored.facts(&names()));
    assert_eq!(facts.promoted, Some(now()));
    let leaf = facts.leaf.clone().unwrap();
    assert!(leaf.named);
    assert_eq!(leaf.span.made, now());
    assert_eq!(leaf.span.until, now() + SignedDuration::from_hours(10));
    assert_eq!(plan(&facts, Some(&[]), timings(), now()).change, None);
}

#[test]
fn a_promotion_keeps_the_old_ca_and_serves_from_the_new_one() {
    let begun = changed(Stored::default(), Change::Begin);
    let prepared = changed(begun, Change::Prepare);
    let before = prepared.facts(&names());
    assert!(before.next.as_ref().unwrap().signs);
    let promoted = changed(prepared, Change::Promote).facts(&names());
    assert_eq!(promoted.current, before.next);
    assert_eq!(promoted.old.unwrap().pem, before.current.unwrap().pem);
    assert!(promoted.next.is_none());
    assert!(promoted.leaf.unwrap().named);
}

#[test]
fn a_leaf_does_not_outlive_its_ca() {
    let timings = Timings::new(
        SignedDuration::from_hours(1),
        SignedDuration::from_hours(10),
    );
    let stored = Stored::default()
        .changed(Change::Begin, &names(), timings, now())
        .unwrap();
    let facts = stored.facts(&names());
    assert_eq!(
        facts.leaf.unwrap().span.until,
        facts.current.unwrap().span.until
    );
}

/// What a replica has made whose clock is an hour ahead nobody else takes for valid, whether it
/// was the first to make something, or renewed what was there.
#[test]
fn what_is_not_valid_yet_is_followed_by_what_is() {
    let ahead = |stored: Stored, change| {
        let then = now() + SignedDuration::from_hours(1);
        stored.changed(change, &names(), timings(), then).unwrap()
    };
    let next = |stored: &Stored| {
        let facts = stored.facts(&names());
        plan(&facts, Some(&[]), timings(), now()).change
    };
    let begun = ahead(Stored::default(), Change::Begin);
    let prepared = ahead(changed(Stored::default(), Change::Begin), Change::Prepare);
    let renewed = ahead(prepared, Change::Promote);
    assert!(renewed.old.is_some());
    for early in [begun.clone(), renewed] {
        assert_eq!(next(&early), Some(Change::Prepare));
        let prepared = changed(early, Change::Prepare);
        assert_eq!(next(&prepared), Some(Change::Promote));
        let promoted = changed(prepared, Change::Promote);
        assert_eq!(next(&promoted), None);
    }
    let bare = Stored {
        leaf: None,
        ..begun
    };
    assert_eq!(next(&bare), Some(Change::Begin));

    let issued = ahead(changed(Stored::default(), Change::Begin), Change::Issue);
    assert_eq!(next(&issued), Some(Change::Issue));
    assert_eq!(next(&changed(issued, Change::Issue)), None);
}

/// Leaves of the CA before may be in use where the current one has never been valid.
#[test]
fn a_promotion_beside_an_old_ca_keeps_both_and_nothing_that_cannot_be_read() {
    let ahead = |stored: Stored, change| {
        let then = now() + SignedDuration::from_hours(1);
        stored.changed(change, &names(), timings(), then).unwrap()
    };
    let first = changed(Stored::default(), Change::Begin);
    let second = ahead(ahead(first.clone(), Change::Prepare), Change::Promote);
    let third = changed(changed(second.clone(), Change::Prepare), Change::Promote);
    let old = third.facts(&names()).old.unwrap();
    assert_eq!(pki::certificates(&old.pem).unwrap().len(), 2);
    for before in [&first, &second] {
        let pem = before.facts(&names()).current.unwrap().pem;
        assert!(old.pem.contains(pem.trim_end()), "{}", old.pem);
    }
    let cut = Stored {
        old: Some("-----BEGIN CERTIFICATE-----\nAA".to_owned()),
        ..changed(first.clone(), Change::Prepare)
    };
    let promoted = changed(cut, Change::Promote).facts(&names());
    assert_eq!(
        promoted.old.unwrap().pem,
        first.facts(&names()).current.unwrap().pem
    );
}

#[test]
fn what_does_not_fit_counts_as_missing() {
    let good = changed(Stored::default(), Change::Begin);
    let other = changed(Stored::default(), Change::Begin);
    let with = |change: &dyn Fn(&mut Stored)| {
        let mut stored = good.clone();
        change(&mut stored);
        stored.facts(&names())
    };
    assert!(
        with(&|s| s.leaf = other.leaf.clone()).leaf.is_none(),
        "another's leaf"
    );
    let key = other.leaf.clone().unwrap().key;
    assert!(
        with(&|s| s.leaf.as_mut().unwrap().key = key.clone())
            .leaf
            .is_none()
    );
    let key = other.current.clone().unwrap().key;
    assert!(
        !with(&|s| s.current.as_mut().unwrap().key = key.clone())
            .current
            .unwrap()
            .signs
    );
    assert!(
        with(&|s| s.current = s.leaf.clone()).current.is_none(),
        "a leaf is no CA"
    );
    let cut = "-----BEGIN CERTIFICATE-----\nAA";
    let part = with(&|s| s.leaf.as_mut().unwrap().certificate.push_str(cut));
    assert!(part.leaf.is_none(), "a chain that nobody can serve");
    let part = with(&|s| s.current.as_mut().unwrap().certificate.push_str(cut));
    assert!(part.current.is_none(), "a chain that nobody can read");
    let bare = with(&|s| {
        let pem = &mut s.current.as_mut().unwrap().certificate;
        pem.truncate(pem.trim_end().len());
    });
    assert!(bare.current.unwrap().pem.ends_with("-----\n"));
    let more = [names(), vec!["c.d.svc".to_owned()]].concat();
    assert!(!good.facts(&more).leaf.unwrap().named);
}

#[test]
fn foreign_content_of_the_secret_is_begun_anew() {
    for text in [
        "",
        "garbage",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let data = [
            CURRENT.0,
            CURRENT.1,
            CERTIFICATE,
            KEY,
            NEXT.0,
            OLD,
            PROMOTED,
        ]
        .map(|key| (key.to_owned(), ByteString(text.as_bytes().to_vec())));
        let secret = Secret {
            data: Some(data.into()),
            ..Secret::default()
        };
        let facts = Stored::read(&secret).facts(&names());
        assert_eq!(facts, Material::default());
        assert_eq!(
            plan(&facts, None, timings(), now()).change,
            Some(Change::Begin)
        );
    }
}
