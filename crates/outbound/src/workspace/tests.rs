//! Searches of real directories: what is found, what is skipped, what cannot be reached.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tandem_core::triage::research::{FoundBy, FrameFile, ResearchPlan, Workspace, WorkspaceFindings};

use super::{Limits, LocalWorkspace};

const BUDGET: Duration = Duration::from_secs(5);

/// A directory of its own, gone with the test.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tandem-workspace-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn search(&self, frames: &[(&str, u64)], terms: &[&str]) -> WorkspaceFindings {
        LocalWorkspace::default().search(&self.0, &plan(frames, terms), BUDGET)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn plan(frames: &[(&str, u64)], terms: &[&str]) -> ResearchPlan {
    ResearchPlan {
        frame_files: frames
            .iter()
            .map(|(file, line)| FrameFile { file: (*file).into(), line: Some(*line), function: None })
            .collect(),
        terms: terms.iter().map(|t| (*t).to_owned()).collect(),
    }
}

fn paths(findings: &WorkspaceFindings) -> Vec<&str> {
    findings.hits.iter().map(|hit| hit.path.as_str()).collect()
}

#[test]
fn frames_resolve_by_their_longest_tail() {
    let ws = Temp::new();
    ws.file("orders/pricing.py", "one\n  two\nthree\n");
    ws.file("billing/pricing.py", "one\n");
    ws.file("src/main/java/com/acme/Order.java", "a\nb\n");
    ws.file("top.rb", "a\n");
    let rows = [
        ("/srv/app/releases/7/orders/pricing.py", 2, Some(("orders/pricing.py", true, "two"))),
        (r"C:\build\orders\pricing.py", 3, Some(("orders/pricing.py", true, "three"))),
        ("webpack://shop/./orders/pricing.py?ab", 1, Some(("orders/pricing.py", true, "one"))),
        ("/srv/app/orders/pricing.py", 4, Some(("orders/pricing.py", false, ""))),
        ("/srv/app/orders/pricing.py", 0, Some(("orders/pricing.py", false, ""))),
        ("com/acme/Order.java", 2, Some(("src/main/java/com/acme/Order.java", true, "b"))),
        ("/app/top.rb", 1, Some(("top.rb", true, "a"))),
        // Only the file name is equal: a lead, not a finding.
        ("/usr/lib/other/Order.java", 1, Some(("src/main/java/com/acme/Order.java", false, "a"))),
        ("/srv/app/other.py", 1, None),
        ("../../../../etc/passwd", 1, None),
        ("/etc/hostname", 1, None),
        ("--upload-pack=x", 1, None),
        ("", 1, None),
    ];
    for (frame, line, expected) in rows {
        let findings = ws.search(&[(frame, line)], &[]);
        let hit = findings.hits.first();
        let got = hit.map(|hit| (hit.path.as_str(), hit.exact, hit.snippet.as_str()));
        assert_eq!(got, expected, "{frame}");
        assert_eq!(hit.and_then(|hit| hit.line), hit.filter(|hit| !hit.snippet.is_empty()).map(|_| line), "{frame}");
    }
    let both = ws.search(&[("pricing.py", 1)], &[]);
    assert_eq!(paths(&both), ["billing/pricing.py", "orders/pricing.py"]);
    assert!(both.hits.iter().all(|hit| !hit.exact));
}

#[test]
fn terms_are_found_whole_with_their_line() {
    let ws = Temp::new();
    ws.file("a.rs", "fn x() {}\nfn load_order() {}\n");
    ws.file("b.ts", "// could not load order\nreload_orders();\n");
    ws.file("c.go", "load_orders load_order2 my_load_order\n");
    let findings = ws.search(&[], &["load_order", "could not load order"]);
    let got: Vec<_> = findings.hits.iter().map(|h| (h.path.as_str(), h.line, h.needle.as_str(), h.found_by)).collect();
    assert_eq!(
        got,
        [("b.ts", Some(1), "could not load order", FoundBy::Term), ("a.rs", Some(2), "load_order", FoundBy::Term),]
    );
    assert_eq!(findings.hits[1].snippet, "fn load_order() {}");
    assert!(findings.available && !findings.truncated);
    assert_eq!(findings.files_searched, 3);
}

#[test]
fn what_is_no_source_is_skipped() {
    let ws = Temp::new();
    for path in [
        ".git/x.rs",
        "target/x.rs",
        "a/node_modules/m/x.js",
        "dist/x.js",
        "build/x.py",
        "vendor/x.go",
        "docs/x.rs",
        "Cargo.lock",
        "package-lock.json",
        "yarn.lock",
        "go.sum",
        "README.md",
        "x.min.js",
        ".hidden/x.rs",
        "notes.txt",
    ] {
        ws.file(path, "needle_word\n");
    }
    ws.file("binary.rs", "needle_word\0\n");
    ws.file("big.json", &format!("needle_word{}", " ".repeat(70_000)));
    ws.file("huge.rs", &format!("needle_word{}", " ".repeat(400_001)));
    ws.file("src/deep/lib.rs", "needle_word\n");
    ws.file("settings.yml", "needle_word: 1\n");
    assert_eq!(paths(&ws.search(&[], &["needle_word"])), ["settings.yml", "src/deep/lib.rs"]);
}

#[test]
fn a_term_that_is_everywhere_is_no_evidence() {
    let ws = Temp::new();
    for n in 0..21 {
        ws.file(&format!("f{n:02}.rs"), "common_word\n");
    }
    ws.file("rare.rs", "common_word rare_word\n");
    assert_eq!(paths(&ws.search(&[], &["common_word", "rare_word"])), ["rare.rs"]);
    let few = Temp::new();
    for n in 0..20 {
        few.file(&format!("f{n:02}.rs"), "word_here\n");
    }
    assert_eq!(few.search(&[], &["word_here"]).hits.len(), 12);
    few.file("exact.rs", "a\n");
    let findings = few.search(&[("/app/exact.rs", 1)], &["word_here"]);
    assert_eq!((findings.hits.len(), findings.hits[0].exact), (5, true));
}

#[test]
fn links_do_not_lead_out() {
    let outside = Temp::new();
    let secret = outside.file("secret/keys.py", "needle_word\n");
    outside.file("bug_report.md", "---\nname: outside\n---\n");
    let ws = Temp::new();
    ws.file("in.py", "other\n");
    symlink(&secret, ws.0.join("link.py")).unwrap();
    symlink(outside.0.join("secret"), ws.0.join("linked")).unwrap();
    symlink("/", ws.0.join("root")).unwrap();
    fs::create_dir_all(ws.0.join(".github/ISSUE_TEMPLATE")).unwrap();
    symlink(outside.0.join("bug_report.md"), ws.0.join(".github/ISSUE_TEMPLATE/bug_report.md")).unwrap();
    let findings = ws.search(&[("/app/secret/keys.py", 1), ("/app/link.py", 1)], &["needle_word"]);
    assert!(findings.hits.is_empty(), "{findings:?}");
    assert_eq!(LocalWorkspace::default().template(&ws.0), None);
}

#[test]
fn only_an_absolute_existing_directory_is_searched() {
    let ws = Temp::new();
    let file = ws.file("a.rs", "needle_word\n");
    for root in [Path::new(""), Path::new("."), Path::new("/"), Path::new("/does/not/exist"), &file] {
        let findings = LocalWorkspace::default().search(root, &plan(&[], &["needle_word"]), BUDGET);
        assert_eq!(findings, WorkspaceFindings::default(), "{}", root.display());
        assert_eq!(LocalWorkspace::default().template(root), None);
    }
    let findings = LocalWorkspace::default().search(
        &ws.0.join("../").join(ws.0.file_name().unwrap()),
        &plan(&[], &["needle_word"]),
        BUDGET,
    );
    assert_eq!(findings.hits.len(), 1);
}

#[test]
fn every_bound_ends_the_search_and_is_told() {
    let ws = Temp::new();
    for n in 0..30 {
        ws.file(&format!("f{n:02}.rs"), &format!("needle_word {}\n", "x".repeat(100)));
    }
    let limits = Limits { entries: 1_000, file_bytes: 10_000, total_bytes: 1_000_000 };
    let search = |limits, budget| LocalWorkspace { limits }.search(&ws.0, &plan(&[], &["needle_word"]), budget);
    assert!(!search(limits, BUDGET).truncated);
    let few = search(Limits { entries: 10, ..limits }, BUDGET);
    assert!(few.truncated && few.files_searched == 10);
    let bytes = search(Limits { total_bytes: 500, ..limits }, BUDGET);
    assert!(bytes.truncated && bytes.files_searched < 6, "{bytes:?}");
    let time = search(limits, Duration::ZERO);
    assert!(time.truncated && time.files_searched == 0 && time.available);
    assert!(search(Limits { file_bytes: 50, ..limits }, BUDGET).hits.is_empty());
}

#[test]
fn the_template_gives_its_front_matter() {
    let rows = [
        ("bug_report.md", "---\nname: Bug\nlabels: bug\n---\nbody\n", Some("name: Bug\nlabels: bug")),
        ("bug-report.md", "---\r\nname: Bug\r\n---\r\n", Some("name: Bug")),
        ("bug_report.md", "name: Bug\n", None),
        ("bug_report.md", "---\nname: Bug\n", None),
        ("bug_report.md", "---\n---\n", None),
        ("other.md", "---\nname: Bug\n---\n", None),
    ];
    for (name, text, expected) in rows {
        let ws = Temp::new();
        ws.file(&format!(".github/ISSUE_TEMPLATE/{name}"), text);
        assert_eq!(LocalWorkspace::default().template(&ws.0).as_deref(), expected, "{name}: {text}");
    }
}

fn git(root: &Path, args: &[&str]) {
    let done = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=m"])
        .args(args)
        .output()
        .unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn commits_that_touched_the_hits_are_listed() {
    let ws = Temp::new();
    git(&ws.0, &["init", "-q"]);
    for n in 0..7 {
        ws.file("hit.py", &format!("needle_word\n{n}\n"));
        ws.file("other.py", &format!("{n}\n"));
        git(&ws.0, &["add", "hit.py"]);
        git(&ws.0, &["commit", "-qm", &format!("touch {n} @someone")]);
        git(&ws.0, &["add", "other.py"]);
        git(&ws.0, &["commit", "-qm", &format!("other {n}")]);
    }
    let findings = ws.search(&[], &["needle_word"]);
    let subjects: Vec<_> = findings.commits.iter().map(|c| c.subject.as_str()).collect();
    assert_eq!(
        subjects,
        ["touch 6 @someone", "touch 5 @someone", "touch 4 @someone", "touch 3 @someone", "touch 2 @someone"]
    );
    assert!(findings.commits.iter().all(|c| c.hash.len() == 40 && c.at_ms > 1_600_000_000_000));
    assert!(ws.search(&[], &["absent_word"]).commits.is_empty());
}

#[test]
fn without_a_repository_there_are_no_commits() {
    let ws = Temp::new();
    ws.file("hit.py", "needle_word\n");
    let findings = ws.search(&[], &["needle_word"]);
    assert_eq!((findings.hits.len(), findings.commits.len()), (1, 0));
}

/// Neither text of a report, nor the name of a file, nor the repository's own configuration runs a program.
#[test]
fn nothing_is_run_but_git_log() {
    let ws = Temp::new();
    let trap = ws.file("trap.sh", &format!("#!/bin/sh\ntouch {}/sprung\n", ws.0.display()));
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let trap = trap.to_str().unwrap().to_owned();
    git(&ws.0, &["init", "-q"]);
    for name in ["-Otouch.py", "--upload-pack=touch sprung.py", ":(exclude)x.py", "*.py", "--stdin.py", "--.py"] {
        ws.file(name, "needle_word\n");
    }
    git(&ws.0, &["add", "-A"]);
    git(&ws.0, &["commit", "-qm", "first"]);
    for key in
        ["core.fsmonitor", "core.pager", "pager.log", "diff.external", "core.sshCommand", "gpg.program", "core.editor"]
    {
        git(&ws.0, &["config", key, &trap]);
    }
    git(&ws.0, &["config", "log.showSignature", "true"]);
    git(&ws.0, &["config", "alias.log", &format!("!{trap}")]);
    git(&ws.0, &["config", "remote.origin.url", "ext::sh -c touch% sprung"]);
    let hostile = ["needle_word", "--upload-pack=touch x", "-O", "$(touch sprung)", "`touch sprung`", "; touch sprung"];
    let findings = ws.search(&[("--upload-pack=touch sprung.py", 9)], &hostile);
    assert_eq!(findings.hits.len(), 6, "{:?}", paths(&findings));
    assert_eq!(findings.commits.len(), 1);
    assert!(!ws.0.join("sprung").exists());
}
