//! What can be done to a request.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::call::Verb;

/// How long a late answer takes: longer than a watch needs to show what was written.
pub const LATE: Duration = Duration::from_secs(3);

/// How long events are withheld from a frozen watch.
pub const FROZEN: Duration = Duration::from_secs(4);

/// How long something is answered with an error when that is to last.
pub const LASTS: Duration = Duration::from_secs(12);

/// What is done to a request.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// The client is killed before the request has left it.
    KillBefore,
    /// It is carried out, and the client is killed before it learns of that.
    KillAfter,
    /// It is carried out, and the connection ends without an answer.
    LostReply,
    /// It is carried out, and the answer comes after [`LATE`].
    Late,
    /// It is carried out, and the answer is an error: 504, as when the API server gives up waiting.
    DoneAnd504,
    /// It is carried out, and half of the answer comes.
    Truncated,
    /// It is carried out, and what comes ends in the middle of what was to be said.
    Half,
    /// It is carried out, and what comes is no JSON.
    Garbage,
    /// It is not carried out and never answered.
    Hang,
    /// It is not carried out; the status says why.
    Answer(u16),
    /// Every request like it is answered so for [`LASTS`].
    Lasting(u16),
    /// A list is answered as the first one of its kind was.
    OldList,
    /// A watch ends with the event that says that the version is too old.
    GoneEvent,
    /// A watch is cut after its first event.
    CutWatch,
    /// A watch shows what happens in [`FROZEN`] only after that time.
    FreezeWatch,
    /// A watch shows every event twice.
    DuplicateEvents,
    /// Two events of a watch change places.
    ReorderEvents,
    /// A watch shows something that is no event.
    GarbageEvent,
}

const NAMES: [(Fault, &str); 16] = [
    (Fault::KillBefore, "kill-before"),
    (Fault::KillAfter, "kill-after"),
    (Fault::LostReply, "lost-reply"),
    (Fault::Late, "late"),
    (Fault::DoneAnd504, "done-and-504"),
    (Fault::Truncated, "truncated"),
    (Fault::Half, "half"),
    (Fault::Garbage, "garbage"),
    (Fault::Hang, "hang"),
    (Fault::OldList, "old-list"),
    (Fault::GoneEvent, "gone-event"),
    (Fault::CutWatch, "cut"),
    (Fault::FreezeWatch, "freeze"),
    (Fault::DuplicateEvents, "duplicates"),
    (Fault::ReorderEvents, "reordered"),
    (Fault::GarbageEvent, "garbage-event"),
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(code) => write!(f, "{code}"),
            Self::Lasting(code) => write!(f, "{code}-lasting"),
            other => {
                let named = NAMES.iter().find(|(fault, _)| fault == other);
                f.write_str(named.map_or("?", |(_, name)| name))
            }
        }
    }
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((fault, _)) = NAMES.iter().find(|(_, name)| *name == text) {
            return Ok(*fault);
        }
        let (code, lasts) = match text.strip_suffix("-lasting") {
            Some(code) => (code, true),
            None => (text, false),
        };
        let code = code
            .parse()
            .map_err(|_| anyhow::anyhow!("there is no fault {text:?}"))?;
        Ok(if lasts {
            Self::Lasting(code)
        } else {
            Self::Answer(code)
        })
    }
}

impl Fault {
    /// How long it goes on.
    pub fn lasts(self) -> Option<Duration> {
        match self {
            Self::Lasting(_) => Some(LASTS),
            Self::Late => Some(LATE),
            Self::FreezeWatch => Some(FROZEN),
            _ => None,
        }
    }

    /// Every single fault that a request of this kind can meet.
    pub fn all_for(verb: Verb) -> Vec<Self> {
        let errors = [403, 429, 500, 503].map(Self::Answer);
        let mut all = vec![Self::KillBefore, Self::Hang, Self::LostReply, Self::Late];
        all.extend([Self::Truncated, Self::Half, Self::Garbage]);
        all.extend(errors);
        match verb {
            Verb::Watch => {
                all.retain(|fault| !matches!(fault, Self::Truncated | Self::Half | Self::Garbage));
                all.extend([Self::Answer(504), Self::Answer(410)]);
                all.extend(Self::of_events());
            }
            Verb::List => all.extend([Self::Answer(504), Self::Answer(410), Self::OldList]),
            Verb::Get => all.push(Self::Answer(504)),
            // To the client a write that is not carried out looks like one that is: [`Self::DoneAnd504`].
            _ => all.extend([
                Self::KillAfter,
                Self::DoneAnd504,
                Self::Answer(409),
                Self::Lasting(403),
                Self::Lasting(500),
                Self::Lasting(503),
            ]),
        }
        all
    }

    /// What can be done to the events of a watch that has begun well.
    pub fn of_events() -> [Self; 6] {
        [
            Self::GoneEvent,
            Self::CutWatch,
            Self::FreezeWatch,
            Self::DuplicateEvents,
            Self::ReorderEvents,
            Self::GarbageEvent,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_can_be_typed_as_it_is_shown() {
        for verb in [Verb::Get, Verb::List, Verb::Watch, Verb::Patch] {
            for fault in Fault::all_for(verb) {
                let shown = fault.to_string();
                assert_eq!(shown.parse::<Fault>().unwrap(), fault, "{shown}");
            }
        }
        assert!("often".parse::<Fault>().is_err());
    }
}
