//! The C2SP signed note: a text, an empty line, and signature lines.
//!
//! Decided here: which notes are well formed (strictly: UTF-8, no control characters but newline, every signature
//! line exact), and when a note counts as signed: at least one known Ed25519 key signed it and no known key's
//! signature is wrong. Signatures of unknown keys (witnesses, other algorithms) are carried and ignored.
//!
//! Deliberately absent: making keys, keeping them, and what the text says (see `checkpoint`).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

const ED25519: u8 = 0x01;
const SIGNATURE_START: &str = "\u{2014} ";
const MAX_SIGNATURES: usize = 100;
const MAX_BYTES: usize = 1 << 20;

/// Why a note or a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// The note does not have the form of a signed note.
    MalformedNote,
    /// The text inside the note is no checkpoint.
    MalformedCheckpoint,
    /// The key is not written as `<name>+<key id>+<base64>`, its id is wrong, or it is no Ed25519 key.
    MalformedKey,
    /// A key name is empty or has a space or a plus.
    BadName,
    /// No known key signed the note.
    NotSigned,
    /// A known key's signature does not fit the text.
    BadSignature,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MalformedNote => "the signed note is malformed",
            Self::MalformedCheckpoint => "the checkpoint is malformed",
            Self::MalformedKey => "the verifier key is malformed",
            Self::BadName => "a key name must be non-empty, without spaces or '+'",
            Self::NotSigned => "no known key signed the checkpoint",
            Self::BadSignature => "the signature does not fit the checkpoint",
        })
    }
}

impl std::error::Error for NoteError {}

/// The public half: what a verifier is given, `<name>+<hex key id>+<base64(0x01 || public key)>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::MalformedKey);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::MalformedKey)?;
        let Some((&ED25519, key)) = bytes.split_first() else { return Err(NoteError::MalformedKey) };
        let key = key.try_into().map_err(|_| NoteError::MalformedKey)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| NoteError::MalformedKey)?;
        let parsed = Self::new(name, key)?;
        if hex::encode(parsed.id) != id {
            return Err(NoteError::MalformedKey);
        }
        Ok(parsed)
    }

    fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        if !valid_name(name) {
            return Err(NoteError::BadName);
        }
        let id =
            Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.to_bytes()).finalize();
        Ok(Self { name: name.to_owned(), id: [id[0], id[1], id[2], id[3]], key })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether these bytes were signed with its private half.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        Ed25519::from_slice(signature).is_ok_and(|signature| self.key.verify_strict(bytes, &signature).is_ok())
    }

    /// Whether a signature line names this key. Whether it is right is another question.
    pub fn wrote(&self, line: &Signature) -> bool {
        self.name == line.name && self.id == line.id
    }

    /// The raw public key, for those who keep keys without names.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend(self.key.to_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(key))
    }
}

/// The private half. It cannot be printed and forgets its key when dropped.
pub struct NoteSigner {
    key: SigningKey,
    public: VerifierKey,
}

impl NoteSigner {
    /// `seed` is the 32-byte Ed25519 private key.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let key = SigningKey::from_bytes(seed);
        let public = VerifierKey::new(name, key.verifying_key())?;
        Ok(Self { key, public })
    }

    pub fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    /// The whole note for a text that ends in a newline.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        if !text.ends_with('\n') || has_control(text) {
            return Err(NoteError::MalformedNote);
        }
        let mut signature = self.public.id.to_vec();
        signature.extend(self.key.sign(text.as_bytes()).to_bytes());
        Ok(format!("{text}\n{SIGNATURE_START}{} {}\n", self.public.name, STANDARD.encode(signature)))
    }

    /// The bare signature. Callers make sure that the bytes cannot pass for the text of a note.
    pub(super) fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.public)
    }
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    pub id: [u8; 4],
    pub bytes: Vec<u8>,
}

/// A well-formed note whose signatures nobody has looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_BYTES || has_control(note) {
            return Err(NoteError::MalformedNote);
        }
        let split = note.rfind("\n\n").ok_or(NoteError::MalformedNote)?;
        let lines = note[split + 2..].strip_suffix('\n').ok_or(NoteError::MalformedNote)?;
        let signatures = lines.split('\n').map(parse_signature).collect::<Option<Vec<_>>>();
        let signatures = signatures.filter(|all| all.len() <= MAX_SIGNATURES).ok_or(NoteError::MalformedNote)?;
        Ok(Self { text: note[..=split].to_owned(), signatures })
    }

    /// The signature lines, whoever wrote them.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The text, though nobody has vouched for it.
    pub(super) fn text_as_it_came(&self) -> &str {
        &self.text
    }

    /// The text, once a known key vouches for it, with the names of the known keys that do.
    pub fn open<'k>(&self, known: &'k [VerifierKey]) -> Result<(&str, Vec<&'k str>), NoteError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let Some(key) = known.iter().find(|key| key.wrote(signature)) else {
                continue;
            };
            let bytes: &[u8; 64] = signature.bytes.as_slice().try_into().map_err(|_| NoteError::BadSignature)?;
            key.key
                .verify_strict(self.text.as_bytes(), &Ed25519::from_bytes(bytes))
                .map_err(|_| NoteError::BadSignature)?;
            if !signers.contains(&key.name()) {
                signers.push(key.name());
            }
        }
        if signers.is_empty() { Err(NoteError::NotSigned) } else { Ok((&self.text, signers)) }
    }
}

fn parse_signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, rest) = bytes.split_first_chunk::<4>()?;
    (valid_name(name) && !rest.is_empty()).then(|| Signature { name: name.to_owned(), id: *id, bytes: rest.to_vec() })
}

fn valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < 0x20 && byte != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Go package that the format comes from.
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const GO_TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const GO_LINE: &str =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn go_signer() -> NoteSigner {
        let seed = STANDARD.decode(GO_SEED).unwrap();
        NoteSigner::new("PeterNeumann", seed[1..].try_into().unwrap()).unwrap()
    }

    #[test]
    fn the_published_example_is_made_and_opened() {
        assert_eq!(go_signer().verifier_key().to_string(), GO_KEY);
        let note = go_signer().sign(GO_TEXT).unwrap();
        assert_eq!(note, format!("{GO_TEXT}\n{GO_LINE}"));
        let known = [VerifierKey::parse(GO_KEY).unwrap()];
        assert_eq!(Note::parse(&note).unwrap().open(&known), Ok((GO_TEXT, vec!["PeterNeumann"])));
    }

    #[test]
    fn unknown_signers_are_ignored_and_wrong_signatures_are_not() {
        let other = NoteSigner::new("EnochRoot", &[7; 32]).unwrap();
        let theirs = other.sign(GO_TEXT).unwrap();
        let both = format!("{theirs}{GO_LINE}");
        let (peter, enoch) = (VerifierKey::parse(GO_KEY).unwrap(), other.verifier_key().clone());
        let opened =
            |note: &str, known: &[VerifierKey]| Note::parse(note).unwrap().open(known).map(|(_, names)| names.len());
        assert_eq!(opened(&both, std::slice::from_ref(&peter)), Ok(1));
        assert_eq!(opened(&both, &[peter.clone(), enoch.clone()]), Ok(2));
        assert_eq!(opened(&theirs, std::slice::from_ref(&peter)), Err(NoteError::NotSigned));
        assert_eq!(opened(&both, &[]), Err(NoteError::NotSigned));
        let changed = both.replace("answer", "anszer");
        assert_eq!(opened(&changed, &[peter]), Err(NoteError::BadSignature));
        // The same name with another key is another signer.
        let namesake = NoteSigner::new("PeterNeumann", &[8; 32]).unwrap();
        assert_eq!(opened(&both, &[namesake.verifier_key().clone()]), Err(NoteError::NotSigned));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let good = format!("{GO_TEXT}\n{GO_LINE}");
        let table = [
            ("no signature", GO_TEXT.to_owned()),
            ("only the empty line", format!("{GO_TEXT}\n")),
            ("no final newline", good.trim_end().to_owned()),
            ("hyphen for dash", good.replace('—', "-")),
            ("double space", good.replace("— ", "—  ")),
            ("carriage return", good.replace('\n', "\r\n")),
            ("tab in the text", good.replace("If you", "If\tyou")),
            ("bad base64", good.replace("x08go", "x08g!")),
            ("trailing words", good.replace("AM=\n", "AM= x\n")),
            ("plus in the name", good.replace("— Peter", "— Pet+r")),
            ("short signature", format!("{GO_TEXT}\n— PeterNeumann x08gow==\n")),
            ("too many", format!("{GO_TEXT}\n{}", GO_LINE.repeat(101))),
            ("empty", String::new()),
        ];
        for (what, note) in table {
            assert_eq!(Note::parse(&note), Err(NoteError::MalformedNote), "{what}");
        }
    }

    #[test]
    fn malformed_keys_are_refused() {
        for key in ["", "a", "a+b", &GO_KEY.replace("c74f", "c74e"), &GO_KEY[..60], &GO_KEY.replace("ARpc", "AhpC")] {
            assert_eq!(VerifierKey::parse(key), Err(NoteError::MalformedKey), "{key}");
        }
        assert_eq!(VerifierKey::parse(&GO_KEY.replace("Peter", "Peter ")), Err(NoteError::BadName));
        assert!(NoteSigner::new("", &[1; 32]).is_err());
    }
}
