//! The full token that the server starts with: from the environment, from a file, or generated once and kept in the
//! state directory. Only its path is ever shown.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tandem_core::ports::{Ids, Secret};

use super::settings::Settings;

/// The prefix of every full token that this server makes.
pub const PREFIX: &str = "tandem_";

#[derive(Debug)]
pub enum BootToken {
    /// `--unsafe-no-api-token`: requests pass without one.
    Disabled,
    FromEnvironment(Secret),
    FromFile(Secret, PathBuf),
    Kept {
        secret: Secret,
        path: PathBuf,
        fresh: bool,
    },
}

impl BootToken {
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Disabled => None,
            Self::FromEnvironment(secret) | Self::FromFile(secret, _) | Self::Kept { secret, .. } => Some(secret),
        }
    }

    /// What the operator is told. Never the token.
    pub fn notice(&self) -> String {
        match self {
            Self::Disabled => "API token: none (--unsafe-no-api-token); every local process may use this server".into(),
            Self::FromEnvironment(_) => "API token: from TANDEM_API_TOKEN".into(),
            Self::FromFile(_, path) => format!("API token: from {}", path.display()),
            Self::Kept { path, fresh: true, .. } => format!("API token: generated, stored in {}", path.display()),
            Self::Kept { path, fresh: false, .. } => format!("API token: in {}", path.display()),
        }
    }
}

pub fn load(settings: &Settings, state_dir: &Path, ids: &dyn Ids) -> Result<BootToken, String> {
    if settings.unsafe_no_api_token {
        return Ok(BootToken::Disabled);
    }
    if let Some(text) = &settings.api_token {
        return Ok(BootToken::FromEnvironment(checked(text, "TANDEM_API_TOKEN")?));
    }
    if let Some(path) = &settings.api_token_file {
        let name = path.display().to_string();
        let text =
            fs::read_to_string(path).map_err(|error| format!("cannot read the API token file {name}: {error}"))?;
        return Ok(BootToken::FromFile(checked(&text, &name)?, path.clone()));
    }
    kept(state_dir.join("api-token"), ids)
}

/// A token that a header can carry.
fn checked(text: &str, origin: &str) -> Result<Secret, String> {
    let token = text.trim();
    if token.is_empty() || token.len() > 4096 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("the API token from {origin} must be one line of 1 to 4096 visible ASCII characters"));
    }
    Ok(Secret::new(token))
}

fn kept(path: PathBuf, ids: &dyn Ids) -> Result<BootToken, String> {
    let name = path.display().to_string();
    match fs::read_to_string(&path) {
        Ok(text) => {
            let mode =
                fs::metadata(&path).map_err(|error| format!("cannot read {name}: {error}"))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(format!(
                    "the API token file {name} can be read by other users (mode {:o}). \
                     Delete it for a new token, or chmod 600 it if nobody else had access",
                    mode & 0o777
                ));
            }
            Ok(BootToken::Kept { secret: checked(&text, &name)?, path, fresh: false })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let token = fresh(ids);
            write_private(&path, &token).map_err(|error| format!("cannot store the API token in {name}: {error}"))?;
            Ok(BootToken::Kept { secret: Secret::new(token), path, fresh: true })
        }
        Err(error) => Err(format!("cannot read the API token file {name}: {error}")),
    }
}

/// A new full token. It exists in the clear only in the file or the one answer that hands it out.
pub fn fresh(ids: &dyn Ids) -> String {
    format!("{PREFIX}{}", hex::encode(ids.secret()))
}

/// The file appears under its name only when it is complete, so a crash never leaves half a token behind.
fn write_private(path: &Path, token: &str) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::{state_dir::tests::Scratch, system::SystemIds};

    #[test]
    fn generated_once_and_kept_private() {
        let scratch = Scratch::new();
        fs::create_dir(&scratch.0).unwrap();
        let path = scratch.0.join("api-token");
        let first = kept(path.clone(), &SystemIds).unwrap();
        let token = first.secret().unwrap().expose().to_owned();
        assert_eq!((token.len(), token.starts_with(PREFIX)), (PREFIX.len() + 64, true));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!first.notice().contains(&token) && !format!("{first:?}").contains(&token));
        assert_eq!(kept(path.clone(), &SystemIds).unwrap().secret().unwrap().expose(), token);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = kept(path, &SystemIds).unwrap_err();
        assert!(refused.contains("644") && !refused.contains(&token));
    }

    #[test]
    fn only_what_a_header_can_carry() {
        assert_eq!(checked("  abc\n", "x").unwrap().expose(), "abc");
        for bad in ["", "  ", "two words", "naïve", "a\nb"] {
            assert!(checked(bad, "x").is_err(), "{bad:?}");
        }
    }
}
