//! The exit codes, as docs/exit-codes.md has them: what scripts rely on.

/// How a process of this program ends; the numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// Something that has no number of its own.
    Failure,
    /// The command line made no sense.
    Usage,
    /// The cluster, or the namespace it should go to, does not exist.
    NotFound,
    /// The API server does not let this user do it.
    NoPermission,
    /// The API server did not answer.
    Unreachable,
    Kubeconfig,
    /// What was waited for did not happen in time.
    TimedOut,
    /// Something of that name is there already, or was changed meanwhile.
    Conflict,
    /// Validation or admission refused the object.
    Refused,
    /// k0smotron is not installed in the mothership.
    NotInstalled,
    Interrupted,
}

impl Exit {
    /// Every way to end, in the order of the numbers.
    pub const ALL: [Self; 12] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::NotFound,
        Self::NoPermission,
        Self::Unreachable,
        Self::Kubeconfig,
        Self::TimedOut,
        Self::Conflict,
        Self::Refused,
        Self::NotInstalled,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NoPermission => 4,
            Self::Unreachable => 5,
            Self::Kubeconfig => 6,
            Self::TimedOut => 7,
            Self::Conflict => 8,
            Self::Refused => 9,
            Self::NotInstalled => 10,
            Self::Interrupted => 130,
        }
    }

    /// What the number means, as the help text puts it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "it worked",
            Self::Failure => "any other error",
            Self::Usage => "the command line is wrong",
            Self::NotFound => "no such cluster (or namespace)",
            Self::NoPermission => "no permission, or not logged in",
            Self::Unreachable => "the API server cannot be reached",
            Self::Kubeconfig => "the kubeconfig cannot be read or used",
            Self::TimedOut => "timed out waiting",
            Self::Conflict => "it exists already, or a name is taken",
            Self::Refused => "the object was refused by validation",
            Self::NotInstalled => "k0smotron is not installed there",
            Self::Interrupted => "interrupted (Ctrl-C)",
        }
    }
}
