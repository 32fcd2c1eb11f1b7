//! That no leaf in use is ever without a bundle, whatever is lost and whatever clocks say.

use proptest::prelude::*;

use super::*;

/// A Secret, bundles, replicas and API servers, with the delays that the plan allows for.
struct World {
    timings: Timings,
    now: i64,
    /// How far the clock of whoever leads is ahead.
    ahead: i64,
    made: u32,
    material: Material,
    bundles: Vec<Bundle>,
    /// What each bundle held before, and until when an API server may go by it.
    bundles_before: Vec<(String, i64)>,
    /// Leaves that were replaced, and until when a replica may serve them.
    leaves_before: Vec<(String, Leaf, i64)>,
}

impl World {
    /// One in which nothing is there yet but a bundle.
    fn new(timings: Timings, now: i64) -> Self {
        Self {
            timings,
            now,
            ahead: 0,
            made: 0,
            material: Material::default(),
            bundles: seen("", 0),
            bundles_before: Vec::new(),
            leaves_before: Vec::new(),
        }
    }

    fn clock(&self) -> i64 {
        self.now + self.ahead
    }

    fn ca(&mut self) -> Ca {
        self.made += 1;
        let until = self.clock() + self.timings.ca.as_secs();
        ca(&format!("{:05}", self.made), self.clock(), until)
    }

    fn issue(&mut self) {
        let current = self.material.current.clone().unwrap();
        let until =
            (self.clock() + self.timings.leaf.as_secs()).min(current.span.until.as_second());
        self.material.leaf = Some(leaf(self.clock(), until));
    }

    fn turn(&mut self) -> Step {
        let step = plan(
            &self.material,
            Some(&self.bundles),
            self.timings,
            at(self.clock()),
        );
        let clock = at(self.clock());
        if let Some(text) = &step.publish {
            for bundle in &mut self.bundles {
                let stale = self.now + self.timings.settle.as_secs() - 1;
                self.bundles_before.push((bundle.text.clone(), stale));
                *bundle = Bundle {
                    text: text.clone(),
                    since: clock,
                };
            }
        }
        if let Some(change) = step.change {
            if let (Some(current), Some(leaf)) = (&self.material.current, &self.material.leaf) {
                let slow = self
                    .timings
                    .grace
                    .as_secs()
                    .min(self.timings.leaf.as_secs() / 6);
                let stale = self.now + slow - 1;
                self.leaves_before
                    .push((current.pem.clone(), leaf.clone(), stale));
            }
            self.apply(change);
        }
        step
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Begin => {
                self.material = Material::default();
                self.material.current = Some(self.ca());
                self.issue();
            }
            Change::Prepare => self.material.next = Some(self.ca()),
            Change::Promote => {
                let before = self.material.old.take();
                self.material.old = self.material.current.take();
                if let (Some(old), Some(before)) = (&mut self.material.old, before) {
                    old.pem += &before.pem;
                }
                self.material.current = self.material.next.take();
                self.material.promoted = Some(at(self.clock()));
                self.issue();
            }
            Change::Issue => self.issue(),
            Change::Forget => self.material.old = None,
        }
    }

    /// Every leaf that a replica may serve, against every bundle that an API server may go by.
    fn check(&mut self) -> Result<(), TestCaseError> {
        self.bundles_before.retain(|(_, until)| *until >= self.now);
        self.leaves_before
            .retain(|(_, _, until)| *until >= self.now);
        let current = self.material.current.clone().unwrap();
        let served = (current.pem, self.material.leaf.clone().unwrap(), 0);
        for (issuer, leaf, _) in self.leaves_before.iter().chain([&served]) {
            prop_assert!(
                at(self.now) < leaf.span.until,
                "a leaf expired at {}",
                self.now
            );
            let texts = self.bundles.iter().map(|bundle| &bundle.text);
            for text in texts.chain(self.bundles_before.iter().map(|(text, _)| text)) {
                prop_assert!(
                    text.contains(issuer.as_str()),
                    "{issuer} not in {text} at {}",
                    self.now
                );
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_leaf_in_use_can_be_verified_with_every_bundle_in_use(
        leaf in 60_i64..400,
        lives in 3_i64..40,
        // Between two turns the leader may be away for as long as a sixth of a leaf's life.
        pauses in prop::collection::vec(0_i64..100, 300),
        lost_key in prop::option::of(0_usize..300),
    ) {
        let timings = Timings::new(
            SignedDuration::from_secs(leaf * lives),
            SignedDuration::from_secs(leaf),
        );
        let mut world = World::new(timings, 1000);
        world.bundles.extend(seen("", 0));
        while world.turn().change.is_some() {}
        world.bundles_before.clear();
        // Who has lost the key as well has less time to be away.
        let longest = if lost_key.is_some() { leaf / 30 } else { leaf / 6 };
        let mut changes = 0;
        for (turn, pause) in pauses.into_iter().enumerate() {
            if lost_key == Some(turn) {
                world.material.current.as_mut().unwrap().signs = false;
            }
            for _ in 0..=(pause % longest.max(1)) {
                world.check()?;
                world.now += 1;
            }
            loop {
                let step = world.turn();
                world.check()?;
                if step.change.is_none() && step.publish.is_none() {
                    prop_assert!(step.again > at(world.now), "it would spin");
                    break;
                }
                changes += 1;
                prop_assert!(changes < 1000, "it does not come to rest");
            }
        }
        prop_assert!(world.made < 300);
    }

    /// Replicas whose clocks are up to an hour apart take turns at leading.
    #[test]
    fn what_several_clocks_make_comes_to_rest_and_is_valid_for_who_leads(
        terms in prop::collection::vec((0_i64..3600, 1_i64..40), 1..12),
    ) {
        let timings = Timings::new(SignedDuration::from_hours(240), SignedDuration::from_hours(24));
        let mut world = World::new(timings, 0);
        for (ahead, quarters) in terms {
            world.ahead = ahead;
            let clock = at(world.clock());
            world.bundles.iter_mut().for_each(|bundle| bundle.since = clock);
            world.material.promoted = world.material.promoted.map(|_| clock);
            let mut changes = 0;
            for _ in 0..quarters {
                loop {
                    let step = world.turn();
                    if world.made > 1 {
                        world.check()?;
                    }
                    if step.change.is_none() && step.publish.is_none() {
                        break;
                    }
                    changes += 1;
                    prop_assert!(changes < 10, "it does not come to rest");
                }
                world.now += 15;
            }
            // A next CA signs once the bundles have held it, and the first half minute is for that.
            if quarters > 3 {
                let (clock, material) = (at(world.clock()), &world.material);
                prop_assert!(material.current.as_ref().unwrap().span.has_begun(clock));
                prop_assert!(material.leaf.as_ref().unwrap().span.has_begun(clock));
            }
        }
    }

    #[test]
    fn a_renewal_comes_to_its_end_and_leaves_one_ca(leaf in 60_i64..400) {
        let timings = Timings::new(
            SignedDuration::from_secs(leaf * 10),
            SignedDuration::from_secs(leaf),
        );
        let mut world = World::new(timings, 0);
        while world.turn().change.is_some() {}
        // Long enough for the second CA to come, short of the third.
        while world.now < leaf * 10 {
            let step = world.turn();
            if step.change.is_none() && step.publish.is_none() {
                world.now = step.again.as_second().max(world.now + 1);
            }
        }
        prop_assert_eq!(world.made, 2);
        prop_assert!(world.material.old.is_none() && world.material.next.is_none());
        let pem = world.material.current.clone().unwrap().pem;
        prop_assert_eq!(&world.bundles[0].text, &pem);
    }
}
