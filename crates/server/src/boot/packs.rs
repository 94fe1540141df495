//! The operator's scenario packs: each `.json` file of a directory is one. They are read when the server starts, and one
//! that cannot be run keeps it from starting: a pack that is silently missing would read as one that passed.

use std::{collections::BTreeSet, fs, path::Path};

use tandem_posture::scenarios::{Pack, built_in, refuse};

/// The longest file that is read.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The packs of a directory, in the order of their file names.
pub fn read(dir: &Path) -> Result<Vec<Pack>, String> {
    let unreadable = |error: std::io::Error| format!("scenario packs: {} cannot be read: {error}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    let mut taken: BTreeSet<String> = built_in().into_iter().map(|pack| pack.pack_id).collect();
    let mut packs = Vec::with_capacity(files.len());
    for file in files {
        let pack = one(&file).map_err(|why| format!("scenario pack {}: {why}", file.display()))?;
        if !taken.insert(pack.pack_id.clone()) {
            return Err(format!("scenario pack {}: another pack has the id `{}`", file.display(), pack.pack_id));
        }
        packs.push(pack);
    }
    Ok(packs)
}

fn one(file: &Path) -> Result<Pack, String> {
    let length = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > LONGEST {
        return Err(format!("it is larger than {LONGEST} bytes"));
    }
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let mut parser = serde_json::Deserializer::from_slice(&text);
    let pack: Pack = serde_path_to_error::deserialize(&mut parser).map_err(|error| error.to_string())?;
    match refuse(&pack) {
        Some(why) => Err(why),
        None => Ok(pack),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(id: &str) -> String {
        format!(
            r#"{{"pack_id":"{id}","version":"1","scenarios":[
                {{"scenarioId":"s","category":"c","input":{{"riskLevel":"high"}},"expect":{{"approvalRequired":true}}}}]}}"#
        )
    }

    #[test]
    fn packs_are_read_in_order_and_bad_ones_are_refused() {
        let dir = std::env::temp_dir().join(format!("tandem-packs-{}", uuid::Uuid::now_v7().simple()));
        fs::create_dir(&dir).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        write("b.json", &pack("second"));
        write("a.json", &pack("first"));
        write("notes.txt", "not a pack");
        let ids = |packs: Vec<Pack>| packs.into_iter().map(|pack| pack.pack_id).collect::<Vec<_>>();
        assert_eq!(ids(read(&dir).unwrap()), ["first", "second"]);
        for (text, why) in [
            (pack("first"), "another pack has the id"),
            (pack("tandem_default_adversarial"), "another pack has the id"),
            ("{".into(), "EOF"),
            (r#"{"pack_id":"x","version":"1","scenarios":[{"scenario_id":"s"}]}"#.into(), "scenarios[0]"),
            (pack("x").replace(r#""approvalRequired":true"#, ""), "expects nothing"),
        ] {
            write("z.json", &text);
            let error = read(&dir).unwrap_err();
            assert!(error.contains(why) && error.contains("z.json"), "{error}");
        }
        fs::remove_dir_all(&dir).unwrap();
        assert!(read(&dir).is_err());
    }
}
