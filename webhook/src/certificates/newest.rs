//! What was shown last of an object that is watched alone: an API server has been seen to show two
//! changes in the wrong order, and an own write's answer comes before or after its event.

/// The version of an object that was shown last, or with which it went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Newest(Option<u64>);

impl Newest {
    /// Whether nothing newer has been shown; then it is the newest. Versions that are no numbers are
    /// taken as they come.
    pub fn takes(&mut self, version: Option<&str>) -> bool {
        let version = number(version);
        let is_late =
            matches!((version, self.0), (Some(version), Some(newest)) if version < newest);
        if !is_late {
            self.0 = version;
        }
        !is_late
    }

    /// A list is what is so, also where versions have begun anew. What an own write has made meanwhile
    /// comes after it.
    pub fn lists(&mut self, version: Option<&str>) {
        self.0 = number(version);
    }
}

fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_left_out_and_a_list_is_not() {
        let mut newest = Newest::default();
        assert!(newest.takes(Some("9")));
        assert!(newest.takes(Some("9")), "shown twice");
        assert!(newest.takes(Some("12")));
        assert!(!newest.takes(Some("10")));
        assert!(newest.takes(Some("x")) && newest.takes(Some("13")));
        newest.lists(Some("5"));
        assert!(newest.takes(Some("6")));
        newest.lists(None);
        assert!(newest.takes(Some("1")));
    }
}
