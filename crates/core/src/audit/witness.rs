//! Witnesses: somebody else who has seen that a log only grew, and signs that he has.
//!
//! The formats are C2SP's: `add-checkpoint` of tlog-witness for what is asked and answered, `cosignature/v1` of
//! tlog-cosignature for what is signed. A cosignature is a signature line of the checkpoint's own note; it covers the note's
//! text and the time. A log that shows two faces, or one that is set back, finds no witness for the second.
//!
//! Deliberately absent: sending, and how many witnesses are enough.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::{
    merkle::Hash,
    note::{Note, NoteError, Signature},
};

const COSIGNATURE: u8 = 0x04;
/// A proof between two trees has no more hashes.
const MOST_HASHES: usize = 63;

/// What a witness is known by: `<name>+<hex key id>+<base64(0x04 || public key)>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl WitnessKey {
    /// # Errors
    /// It is not written like that, its id is wrong, or it is no such key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::MalformedKey);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::MalformedKey)?;
        let Some((&COSIGNATURE, key)) = bytes.split_first() else { return Err(NoteError::MalformedKey) };
        let key = key.try_into().map_err(|_| NoteError::MalformedKey)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| NoteError::MalformedKey)?;
        let parsed = Self::new(name, key)?;
        if hex::encode(parsed.id) == id { Ok(parsed) } else { Err(NoteError::MalformedKey) }
    }

    fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(NoteError::BadName);
        }
        let id = Sha256::new().chain_update(name).chain_update([b'\n', COSIGNATURE]).chain_update(key.to_bytes());
        let id = id.finalize();
        Ok(Self { name: name.to_owned(), id: [id[0], id[1], id[2], id[3]], key })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a signature line names this key. Whether it is right is another question.
    pub fn wrote(&self, line: &Signature) -> bool {
        self.name == line.name && self.id == line.id
    }

    /// When this witness signed the note, in seconds: the newest of its cosignatures.
    ///
    /// # Errors
    /// There is none by this key, or one that does not fit the text.
    pub fn opens(&self, note: &str) -> Result<u64, NoteError> {
        let parsed = Note::parse(note)?;
        let text = note.get(..text_end(note)?).ok_or(NoteError::MalformedNote)?;
        let mut newest = None;
        for signature in parsed.signatures().iter().filter(|line| self.wrote(line)) {
            let Some((time, bytes)) = signature.bytes.split_first_chunk::<8>() else {
                return Err(NoteError::BadSignature);
            };
            let bytes: &[u8; 64] = bytes.try_into().map_err(|_| NoteError::BadSignature)?;
            let time = u64::from_be_bytes(*time);
            self.key
                .verify_strict(&message(text, time), &Ed25519::from_bytes(bytes))
                .map_err(|_| NoteError::BadSignature)?;
            newest = newest.max(Some(time));
        }
        newest.ok_or(NoteError::NotSigned)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![COSIGNATURE];
        key.extend(self.key.to_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(key))
    }
}

/// A witness's own side. Ours asks; this one is for small witnesses and for tests.
pub struct WitnessSigner {
    key: SigningKey,
    public: WitnessKey,
}

impl WitnessSigner {
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let key = SigningKey::from_bytes(seed);
        let public = WitnessKey::new(name, key.verifying_key())?;
        Ok(Self { key, public })
    }

    pub fn key(&self) -> &WitnessKey {
        &self.public
    }

    /// The signature line for the text of a note, with its newline.
    pub fn cosign(&self, text: &str, time_s: u64) -> String {
        let mut signature = self.public.id.to_vec();
        signature.extend(time_s.to_be_bytes());
        signature.extend(self.key.sign(&message(text, time_s)).to_bytes());
        format!("\u{2014} {} {}\n", self.public.name, STANDARD.encode(signature))
    }
}

fn message(text: &str, time_s: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_s}\n{text}").into_bytes()
}

/// The text of a note ends with the newline before the empty line.
fn text_end(note: &str) -> Result<usize, NoteError> {
    note.rfind("\n\n").map(|at| at + 1).ok_or(NoteError::MalformedNote)
}

/// The body of `add-checkpoint`: from which tree the witness is led to this one, and how.
pub fn request(old_size: u64, proof: &[Hash], note: &str) -> String {
    let hashes: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old_size}\n{hashes}\n{note}")
}

/// Reads the body of `add-checkpoint`, as a witness does.
pub fn read_request(body: &str) -> Option<(u64, Vec<Hash>, &str)> {
    let (head, note) = body.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old_size = lines.next()?.strip_prefix("old ")?.parse().ok()?;
    let hashes = lines.map(|line| Hash::try_from(STANDARD.decode(line).ok()?).ok()).collect::<Option<Vec<_>>>()?;
    (hashes.len() <= MOST_HASHES).then_some((old_size, hashes, note))
}

/// What a witness answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The note with the witness's line added, and when it signed.
    Signed { note: String, time_s: u64 },
    /// It has seen a tree of this size, and wants to be led on from there.
    Seen(u64),
    /// A machine word for anything else.
    Refused(String),
}

/// Judges an answer to `add-checkpoint`. Nothing is believed that the key does not vouch for.
pub fn judge(status: u16, body: &str, note: &str, key: &WitnessKey) -> Told {
    match status {
        200 => {
            let lines: Vec<&str> = body.lines().filter(|line| line.starts_with('\u{2014}')).take(16).collect();
            for line in lines {
                let with = format!("{note}{line}\n");
                if let Ok(time_s) = key.opens(&with) {
                    return Told::Signed { note: with, time_s };
                }
            }
            Told::Refused("signature_invalid".into())
        }
        409 => match body.trim().parse() {
            Ok(size) => Told::Seen(size),
            Err(_) => Told::Refused("http_409".into()),
        },
        status => Told::Refused(format!("http_{status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{
        checkpoint::Checkpoint,
        note::{NoteSigner, VerifierKey},
    };

    fn note() -> String {
        let signer = NoteSigner::new("log.example", &[1; 32]).unwrap();
        Checkpoint::new("log.example/a/b".into(), 8, [3; 32]).sign(&signer).unwrap()
    }

    fn witness() -> WitnessSigner {
        WitnessSigner::new("witness.example/w", &[2; 32]).unwrap()
    }

    fn line(note: &str, time: u64) -> String {
        witness().cosign(&note[..text_end(note).unwrap()], time)
    }

    #[test]
    fn a_cosigned_checkpoint_opens_for_both() {
        let (note, key) = (note(), witness().key().clone());
        assert_eq!(WitnessKey::parse(&key.to_string()), Ok(key.clone()));
        let signed = format!("{note}{}", line(&note, 1_700_000_000));
        assert_eq!(key.opens(&signed), Ok(1_700_000_000));
        assert_eq!(key.opens(&note), Err(NoteError::NotSigned));
        assert_eq!(key.opens(&format!("{signed}{}", line(&note, 1_800_000_000))), Ok(1_800_000_000));
        let log = NoteSigner::new("log.example", &[1; 32]).unwrap();
        assert!(Checkpoint::open(&signed, &[log.verifier_key().clone()]).is_ok());
        assert_eq!(key.opens(&signed.replacen("\n8\n", "\n9\n", 1)), Err(NoteError::BadSignature));
        let namesake = WitnessSigner::new("witness.example/w", &[9; 32]).unwrap();
        assert_eq!(namesake.key().opens(&signed), Err(NoteError::NotSigned));
        // A log's key is no witness's key, and the other way round.
        assert!(WitnessKey::parse(&log.verifier_key().to_string()).is_err());
        assert!(VerifierKey::parse(&key.to_string()).is_err());
    }

    #[test]
    fn answers() {
        let (note, key) = (note(), witness().key().clone());
        let good = line(&note, 5);
        assert_eq!(judge(200, &good, &note, &key), Told::Signed { note: format!("{note}{good}"), time_s: 5 });
        let others = WitnessSigner::new("other", &[4; 32]).unwrap().cosign(&note, 5);
        assert!(matches!(judge(200, &format!("{others}{good}"), &note, &key), Told::Signed { .. }));
        let invalid = Told::Refused("signature_invalid".into());
        for bad in ["", "hello", others.as_str(), &line(&note.replacen('8', "9", 1), 5)] {
            assert_eq!(judge(200, bad, &note, &key), invalid, "{bad}");
        }
        assert_eq!(judge(409, "17\n", &note, &key), Told::Seen(17));
        assert_eq!(judge(409, "x", &note, &key), Told::Refused("http_409".into()));
        assert_eq!(judge(404, "", &note, &key), Told::Refused("http_404".into()));
    }

    #[test]
    fn requests_are_read_as_they_were_written() {
        let note = note();
        for proof in [vec![], vec![[1; 32], [2; 32]]] {
            let body = request(3, &proof, &note);
            assert_eq!(read_request(&body), Some((3, proof, note.as_str())));
        }
        assert!(request(0, &[], "x").starts_with("old 0\n\nx"));
        for bad in ["", "old x\n\n", "old 1\nAAAA\n\nx", "new 1\n\nx"] {
            assert_eq!(read_request(bad), None, "{bad}");
        }
    }
}
