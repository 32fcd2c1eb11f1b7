//! What is wrong with a field, in the words of Kubernetes' own validation.

use std::fmt;

use super::texts::is_obeyed;

/// The sorts of faults, as `field.ErrorType` of k8s.io/apimachinery has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// A value that has to be there is not.
    Required,
    /// A value that cannot be.
    Invalid,
    /// A value that is none of those that there are.
    NotSupported,
    /// A field or value that could be, but not here or not now.
    Forbidden,
    /// A value that has to be unique and is not.
    Duplicate,
}

impl ErrorType {
    /// What programs tell it by: the `reason` of a cause in a `Status`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
        }
    }

    /// What its text begins with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::Duplicate => "Duplicate value",
        }
    }

    /// Of the others it is not the value that matters.
    const fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden)
    }
}

/// One thing that is wrong with an object, or that its author should know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldError {
    /// Path of the field, such as `spec.mounts[1].path`.
    pub path: String,
    /// Its sort; none for a warning.
    pub sort: Option<ErrorType>,
    /// The offending value; empty when the field is missing.
    pub value: String,
    /// What is wrong with it; may be empty where the sort says it all.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl FieldError {
    fn new(
        path: impl Into<String>,
        sort: Option<ErrorType>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            sort,
            value: value.to_string(),
            message: message.into(),
            hint: String::new(),
        }
    }

    /// A value is missing.
    pub fn required(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(path, Some(ErrorType::Required), "", message)
    }

    /// A value cannot be.
    pub fn invalid(
        path: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self::new(path, Some(ErrorType::Invalid), value, message)
    }

    /// A value is none of these.
    pub fn not_supported<T: fmt::Display>(
        path: impl Into<String>,
        value: impl fmt::Display,
        supported: impl IntoIterator<Item = T>,
    ) -> Self {
        let all = supported.into_iter().map(|one| format!("\"{one}\""));
        let all = all.collect::<Vec<_>>().join(", ");
        let message = format!("supported values: {all}");
        Self::new(path, Some(ErrorType::NotSupported), value, message)
    }

    /// A field or value cannot be here or now.
    pub fn forbidden(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(path, Some(ErrorType::Forbidden), "", message)
    }

    /// A value is there twice.
    pub fn duplicate(
        path: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self::new(path, Some(ErrorType::Duplicate), value, message)
    }

    /// Nothing is wrong, and its author should know.
    pub fn warning(
        path: impl Into<String>,
        value: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self::new(path, None, value, message)
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same, where it is let pass.
    #[must_use]
    pub fn into_warning(self) -> Self {
        Self { sort: None, ..self }
    }

    /// The reason of the cause that this is in a `Status`.
    pub const fn reason(&self) -> &'static str {
        match self.sort {
            Some(sort) => sort.reason(),
            None => ErrorType::Invalid.reason(),
        }
    }

    /// The path, as a cause has it.
    pub fn field(&self) -> String {
        visible(&self.path)
    }

    /// The text without the path, as a cause has it.
    pub fn body(&self) -> String {
        let shows = self.sort.is_none_or(ErrorType::shows_value) && !self.value.is_empty();
        let value = shows.then(|| format!("{:?}", self.value));
        let parts = [
            self.sort.map(ErrorType::as_str),
            value.as_deref(),
            Some(self.message.as_str()).filter(|message| !message.is_empty()),
        ];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        let mut text = parts.join(": ");
        if !self.hint.is_empty() {
            text.extend([" (", &self.hint, ")"]);
        }
        visible(&text)
    }
}

/// Keys and values of users are in paths and texts: none begins a line of its own.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field(), self.body())
    }
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::FieldError;

    #[rstest]
    #[case(
        FieldError::required("spec.a", ""),
        "spec.a: Required value",
        "FieldValueRequired"
    )]
    #[case(
        FieldError::required("spec.a", "must be specified when spec.b is set"),
        "spec.a: Required value: must be specified when spec.b is set",
        "FieldValueRequired"
    )]
    #[case(
        FieldError::invalid("spec.a", 0, "must be greater than 0").hint("such as 1"),
        "spec.a: Invalid value: \"0\": must be greater than 0 (such as 1)",
        "FieldValueInvalid"
    )]
    #[case(
        FieldError::invalid("spec.a", "", "must have a volume source"),
        "spec.a: Invalid value: must have a volume source",
        "FieldValueInvalid"
    )]
    #[case(
        FieldError::not_supported("spec.a", "c", ["a", "b"]),
        "spec.a: Unsupported value: \"c\": supported values: \"a\", \"b\"",
        "FieldValueNotSupported"
    )]
    #[case(
        FieldError { value: "x".to_owned(), ..FieldError::forbidden("spec.a", "may not be set") },
        "spec.a: Forbidden: may not be set",
        "FieldValueForbidden"
    )]
    #[case(
        FieldError::duplicate("spec.a[1]", "x", "").hint("one each"),
        "spec.a[1]: Duplicate value: \"x\" (one each)",
        "FieldValueDuplicate"
    )]
    #[case(
        FieldError::forbidden("spec.a[x\nhint: y]", "not \u{1b}[2J").hint("z\r"),
        "spec.a[x\\nhint: y]: Forbidden: not \\u{1b}[2J (z\\r)",
        "FieldValueForbidden"
    )]
    #[case(
        FieldError::warning("spec.a", "x", "has no effect"),
        "spec.a: \"x\": has no effect",
        "FieldValueInvalid"
    )]
    fn a_sort_has_its_text_and_reason(
        #[case] error: FieldError,
        #[case] text: &str,
        #[case] reason: &str,
    ) {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.reason(), reason);
    }
}
