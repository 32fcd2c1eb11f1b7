//! The arguments of a component: a map of flags that users may override, then raw arguments.

use std::collections::BTreeMap;

/// Flags by name without dashes, in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args(BTreeMap<String, String>);

impl Args {
    /// The component's own flags.
    pub fn new<const N: usize>(flags: [(&str, String); N]) -> Self {
        Self(
            flags
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// Sets a flag, whatever it was before.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets a flag that nobody has set.
    pub fn default(&mut self, name: &str, value: impl Into<String>) {
        self.0
            .entry(name.to_owned())
            .or_insert_with(|| value.into());
    }

    /// The value of a flag.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Lays the user's `extraArgs` over the component's own flags.
    pub fn override_with(&mut self, component: &str, extra: &BTreeMap<String, String>) {
        for (name, value) in extra {
            if self.0.contains_key(name) {
                tracing::warn!("the configuration sets --{name} of {component}");
            }
            self.0.insert(name.clone(), value.clone());
        }
    }

    /// The command line: `--name=value` for each flag, then the raw arguments as they are.
    pub fn into_command_line(self, raw: &[String]) -> Vec<String> {
        let flags = self
            .0
            .into_iter()
            .map(|(name, value)| format!("--{name}={value}"));
        flags.chain(raw.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_values_win_and_raw_arguments_come_last() {
        let mut args = Args::new([("v", "1".into()), ("port", "6443".into())]);
        args.override_with("test", &[("v".to_owned(), "4".to_owned())].into());
        args.default("v", "9");
        args.default("profiling", "false");
        assert_eq!(
            args.into_command_line(&["--raw".into()]),
            ["--port=6443", "--profiling=false", "--v=4", "--raw"]
        );
    }
}
