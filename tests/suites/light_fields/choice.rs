//! Which values are tried: a share by a seed, all, or those of some numbers.

use anyhow::{Context as _, Result};

use crate::values::Case;

/// What the environment asks for, else so many, evenly from the fields below `spec`: there are more
/// kinds of volumes than of all else together. Where all are asked for, there are at most so many.
/// Says how to come back to it.
pub fn chosen(all: Vec<Case<'_>>, share: usize, most: usize) -> Result<(Vec<Case<'_>>, String)> {
    let seed = match std::env::var("FIELDS_SEED") {
        Ok(seed) => seed.parse().context("FIELDS_SEED must be a number")?,
        Err(_) => u64::from(std::process::id()),
    };
    let share = match std::env::var("FIELDS").ok().as_deref() {
        Some("all") => most,
        None => share,
        Some(numbers) => {
            let numbers: Vec<usize> = numbers
                .split(',')
                .map(|number| number.trim().parse())
                .collect::<Result<_, _>>()
                .context("FIELDS must be all, or numbers with commas between them")?;
            let asked = all
                .into_iter()
                .filter(|case| numbers.contains(&case.number));
            return Ok((asked.collect(), "by number".to_owned()));
        }
    };
    Ok((evenly(all, share, seed), format!("FIELDS_SEED={seed}")))
}

fn evenly(all: Vec<Case<'_>>, share: usize, seed: u64) -> Vec<Case<'_>> {
    let mut groups: Vec<Vec<Case<'_>>> = Vec::new();
    for case in all {
        match groups.iter_mut().find(|group| {
            group.first().is_some_and(|first| {
                first.kind.name == case.kind.name && first.field.top() == case.field.top()
            })
        }) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    let mut random = seed;
    let mut taken = Vec::new();
    while taken.len() < share && groups.iter().any(|group| !group.is_empty()) {
        for group in &mut groups {
            if !group.is_empty() {
                let index = usize::try_from(next(&mut random)).unwrap_or(0) % group.len();
                taken.push(group.swap_remove(index));
            }
        }
    }
    taken.truncate(share);
    taken
}

/// `SplitMix64`.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
