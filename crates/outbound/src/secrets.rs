//! Secrets from the environment, read each time they are used, so that nothing holds a value longer than a request.
//!
//! A reference is `env:NAME`, `env://NAME`, `${env:NAME}` or `NAME`. Deliberately absent: secrets in files or in the
//! configuration, and any fallback.

use tandem_core::ports::{Secret, SecretError, Secrets};

#[derive(Clone, Copy, Debug, Default)]
pub struct EnvSecrets;

impl Secrets for EnvSecrets {
    fn resolve(&self, reference: &str) -> Result<Secret, SecretError> {
        let name = variable(reference).ok_or(SecretError::BadReference)?;
        lookup(name, |name| std::env::var(name).ok())
    }
}

fn lookup(name: &str, read: impl Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
    // A value that is not UTF-8 cannot be a secret that a receiver knows too.
    let value = read(name).ok_or(SecretError::Unavailable)?;
    match value.trim() {
        "" => Err(SecretError::Unavailable),
        value => Ok(Secret::new(value)),
    }
}

/// The variable that a reference names.
fn variable(reference: &str) -> Option<&str> {
    let text = reference.trim();
    let name = match text.strip_prefix("${env:") {
        Some(rest) => rest.strip_suffix('}')?,
        None => match text.strip_prefix("env:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => text,
        },
    };
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for good in ["HOOK_1", "env:HOOK_1", "env://HOOK_1", "${env:HOOK_1}", "  env:HOOK_1 "] {
            assert_eq!(variable(good), Some("HOOK_1"), "{good}");
        }
        for bad in
            ["", "env:", "hook", "env:a-b", "${env:HOOK_1", "$HOOK_1", "file:X", "env:///X", "A B", "env:Ä", "${env:}"]
        {
            assert_eq!(variable(bad), None, "{bad}");
            assert_eq!(EnvSecrets.resolve(bad), Err(SecretError::BadReference), "{bad}");
        }
    }

    #[test]
    fn values_are_trimmed_and_not_blank() {
        let read = |value: Option<&str>| lookup("X", |_| value.map(str::to_owned));
        assert_eq!(read(Some(" s3 \n")), Ok(Secret::new("s3")));
        assert_eq!(read(Some(" \n")), Err(SecretError::Unavailable));
        assert_eq!(read(None), Err(SecretError::Unavailable));
        // PATH is the one variable that any environment running tests has.
        assert!(EnvSecrets.resolve("env:PATH").is_ok());
        assert_eq!(EnvSecrets.resolve("TANDEM_TEST_SURELY_UNSET"), Err(SecretError::Unavailable));
    }
}
