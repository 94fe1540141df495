//! The C2SP tlog-checkpoint: what a log signs. Three lines, the origin, the number of rows and the root, and extension
//! lines that we carry and never write.
//!
//! A tenant's log has its own origin, `<log name>/<org>/<workspace>`, so a checkpoint of one tenant never passes for
//! another's. The key that signs it is named by the origin itself or by a path above it (the log name).
//!
//! Deliberately absent: when to sign.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::merkle::Hash;
use super::note::{Note, NoteError, NoteSigner, VerifierKey};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    /// Number of rows.
    pub size: u64,
    pub root: Hash,
    pub extensions: Vec<String>,
}

/// The origin of a tenant's log. Everything that could read as another separator is percent-encoded.
pub fn origin(log_name: &str, org: &str, workspace: &str) -> String {
    format!("{}{}", escape(log_name, b"/:"), tenant_path(org, workspace))
}

/// The tenant's part of an origin: `/<org>/<workspace>`.
pub fn tenant_path(org: &str, workspace: &str) -> String {
    format!("/{}/{}", escape(org, b""), escape(workspace, b""))
}

fn escape(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Checkpoint {
    pub fn new(origin: String, size: u64, root: Hash) -> Self {
        Self { origin, size, root, extensions: Vec::new() }
    }

    fn text(&self) -> Result<String, NoteError> {
        let lines = [&self.origin].into_iter().chain(&self.extensions);
        if lines.into_iter().any(|line| line.is_empty() || line.contains(char::is_control)) {
            return Err(NoteError::MalformedCheckpoint);
        }
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    /// The signed note.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, NoteError> {
        signer.sign(&self.text()?)
    }

    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::MalformedCheckpoint)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::MalformedCheckpoint);
        };
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        let root = STANDARD.decode(root).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let number = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        match (number, root) {
            (Some(size), Some(root)) if !origin.is_empty() && extensions.iter().all(|line| !line.is_empty()) => {
                Ok(Self { origin: origin.to_owned(), size, root, extensions })
            }
            (Some(_) | None, Some(_) | None) => Err(NoteError::MalformedCheckpoint),
        }
    }

    /// Opens a signed note: the checkpoint that it carries, once one of `known` vouches for it by a name that fits
    /// the origin.
    pub fn open(note: &str, known: &[VerifierKey]) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        let (text, signers) = note.open(known)?;
        let checkpoint = Self::parse(text)?;
        let named = signers.iter().any(|name| {
            checkpoint.origin.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if named { Ok(checkpoint) } else { Err(NoteError::NotSigned) }
    }

    /// Whether this is a checkpoint of that tenant's log, of whatever log name.
    pub fn is_of_tenant(&self, org: &str, workspace: &str) -> bool {
        self.origin.strip_suffix(&tenant_path(org, workspace)).is_some_and(|log| !log.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::merkle;

    const SEED: [u8; 32] = [42; 32];

    fn checkpoint() -> Checkpoint {
        let leaves = merkle::tests::reference_leaves();
        Checkpoint::new(origin("tandem.example", "acme", "main"), 8, merkle::root(&leaves))
    }

    #[test]
    fn a_fixed_checkpoint_has_fixed_bytes() {
        let signer = NoteSigner::new("tandem.example/acme/main", &SEED).unwrap();
        let note = checkpoint().sign(&signer).unwrap();
        assert_eq!(
            note.split_once("\n\n").unwrap().0,
            "tandem.example/acme/main\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
        );
        assert_eq!(
            signer.verifier_key().to_string(),
            "tandem.example/acme/main+8455b568+ARl/ayPhbIUyxqvIOPrNXqeJvgx2spIDNAOb+os9No1h"
        );
        assert_eq!(
            note.lines().last(),
            Some(
                "— tandem.example/acme/main hFW1aM3x7RkMmwu1v/QPWD1L0RfPiZV8uIamyARyT9Zvxo/tnLWlkliFVr7QpldA/gIoJq2NVGhxk7khTqovD1d37wc="
            )
        );
    }

    #[test]
    fn signed_checkpoints_round_trip() {
        for name in ["tandem.example/acme/main", "tandem.example/acme", "tandem.example"] {
            let signer = NoteSigner::new(name, &SEED).unwrap();
            let mut checkpoint = checkpoint();
            checkpoint.extensions = vec!["an extension".to_owned()];
            let note = checkpoint.sign(&signer).unwrap();
            let key = VerifierKey::parse(&signer.verifier_key().to_string()).unwrap();
            assert_eq!(Checkpoint::open(&note, &[key]), Ok(checkpoint));
        }
    }

    #[test]
    fn a_key_of_another_name_vouches_for_nothing() {
        for name in ["tandem.exam", "other.example", "tandem.example/acme/main/x"] {
            let signer = NoteSigner::new(name, &SEED).unwrap();
            let note = checkpoint().sign(&signer).unwrap();
            assert_eq!(Checkpoint::open(&note, &[signer.verifier_key().clone()]), Err(NoteError::NotSigned));
        }
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        let root = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=";
        assert!(Checkpoint::parse(&format!("o\n0\n{root}\nmore\n")).is_ok());
        let table = [
            String::new(),
            format!("o\n8\n{root}"),
            format!("\n8\n{root}\n"),
            format!("o\n08\n{root}\n"),
            format!("o\n+8\n{root}\n"),
            format!("o\n-8\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            "o\n8\n\n".to_owned(),
            "o\n8\nAAAA\n".to_owned(),
            format!("o\n8\n{root}\n\n"),
            format!("o\n8\n {root}\n"),
        ];
        for text in table {
            assert_eq!(Checkpoint::parse(&text), Err(NoteError::MalformedCheckpoint), "{text:?}");
        }
        let mut broken = checkpoint();
        broken.origin = "evil\n9".to_owned();
        assert!(broken.sign(&NoteSigner::new("n", &SEED).unwrap()).is_err());
    }

    #[test]
    fn tenants_cannot_pass_for_each_other() {
        assert_eq!(origin("log:39731", "a/b", "c d+é"), "log:39731/a%2Fb/c%20d%2B%C3%A9");
        let one = Checkpoint::new(origin("log", "a/b", "c"), 0, [0; 32]);
        assert!(one.is_of_tenant("a/b", "c"));
        assert!(!one.is_of_tenant("b", "c"));
        assert!(!one.is_of_tenant("a", "b/c"));
    }
}
