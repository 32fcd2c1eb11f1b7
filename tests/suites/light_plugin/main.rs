//! `kubectl k0smotron` as a person types it, against a real API server. Where a command waits for
//! the controller, the test plays the controller's part and writes what it would.

mod accepted;
mod access;
mod bundles;
mod changes;
mod closed;
mod clusters;
mod completions;
mod failures;
mod hostile;
mod installs;
mod joins;
mod kubeconfigs;
mod looks;
mod oracle;
mod person;
mod programs;
mod release;
mod scene;
mod ssh;
mod tokens;
mod undone;
mod waits;
