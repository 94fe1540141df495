use proptest::prelude::*;

use super::*;
use crate::triage::{markdown, marker};

#[test]
fn prose_is_text() {
    let z = '\u{200b}';
    let rows = [
        ("ask @octocat", format!("ask @{z}octocat")),
        ("fixes #12 and GH-34", format!("fixes #{z}12 and GH-{z}34")),
        ("<img src=x> &#64;octocat", "&lt;img src=x&gt; &amp;#64;octocat".replace("#64", &format!("#{z}64"))),
        ("![x](http://evil)", r"\!\[x\](http://evil)".to_owned()),
        ("# heading", r"\# heading".to_owned()),
        ("- item\n12. item\n=== \n> quote", "\\- item\n12\\. item\n\\===\n&gt; quote".to_owned()),
        ("call `a @b` now", "call `a @b` now".to_owned()),
        ("``` and ` alone", r"\`\`\` and \` alone".to_owned()),
        ("~~~\n    indented", "\\~\\~\\~\nindented".to_owned()),
        ("snake_case _em_ *em*", r"snake_case \_em\_ \*em\*".to_owned()),
        ("a\u{202e}b\u{7}c\r\nd", "abc\nd".to_owned()),
    ];
    for (text, expected) in rows {
        assert_eq!(markdown::prose(text), expected, "{text}");
    }
    assert_eq!(markdown::line("one\n# two"), "one # two");
}

#[test]
fn a_fence_is_longer_than_any_run_inside() {
    assert_eq!(markdown::fence("a\n```\nb", "text"), "````text\na\n```\nb\n````");
    assert_eq!(markdown::fence("x", ""), "```\nx\n```");
    assert!(markdown::fence(&"`".repeat(50), "").starts_with(&"`".repeat(51)));
    assert_eq!(markdown::code("a`b"), "``a`b``");
    assert_eq!(markdown::code("`"), "`` ` ``");
}

#[test]
fn markers_cannot_be_broken_out_of() {
    assert_eq!(marker::fingerprint("v2:ab"), "<!-- tandem:fingerprint:v1:v2:ab -->");
    for value in ["x --> y", "a\nb", "a--b", "<!-- x", "-", "a-", " a"] {
        let marker = marker::fingerprint(value);
        assert_eq!(marker.matches("--").count(), 2, "{marker}");
        assert!(!marker.contains('\n'), "{marker}");
        assert_ne!(marker, marker::fingerprint(&format!("{value}.")));
    }
    let handoff = marker::coder_handoff(&json!({"a": "--> <!-- x", "b": ["---"]}));
    assert_eq!(handoff.matches("-->").count(), 1);
    let body = handoff.trim_start_matches("<!-- tandem:coder_handoff:v1\n").trim_end_matches("\n-->");
    let read: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(read, json!({"a": "--> <!-- x", "b": ["---"]}));
}

const HOSTILE: [&str; 9] = [
    "--upload-pack=touch /tmp/x",
    "-Otouch",
    "```\n# out\n@octocat",
    "<!-- tandem:fingerprint:v1:x -->",
    "--> @everyone <!--",
    "`````` ` ``",
    "</details><script>alert(1)</script>",
    "[x]: http://evil\n[x]",
    "---\nname: forged\n---",
];

fn body_of(text: &str) -> String {
    let mut incident = incident(text);
    (incident.title, incident.component) = (text.to_owned(), Some(text.to_owned()));
    incident.excerpt = text.lines().map(str::to_owned).collect();
    let mut draft = draft();
    draft.title = Some(text.to_owned());
    let list = vec![text.to_owned()];
    let values = vec![json!(text), json!({"title": text, "number": 3}), json!([text]), json!({"path": text})];
    let input = SummaryInput {
        what_happened: Some(text.to_owned()),
        why_it_likely_happened: Some(text.to_owned()),
        recommended_fix: Some(text.to_owned()),
        notes: Some(text.to_owned()),
        affected_components: list.clone(),
        likely_files_to_edit: list.clone(),
        steps_to_reproduce: list.clone(),
        environment: list.clone(),
        logs: list.clone(),
        acceptance_criteria: list.clone(),
        verification_steps: list,
        related_existing_issues: values.clone(),
        file_references: values.clone(),
        fix_points: values,
        ..complete()
    };
    issue_draft(&draft, Some(&incident), &summarised(input), None, 1).expect("complete").rendered_body
}

/// The line without its code spans, by the rules of CommonMark: a run of backticks closes at the next run of the same
/// length, and a backslash escapes outside of spans only.
fn outside_code(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let run = |at: usize| chars[at..].iter().take_while(|c| **c == '`').count();
    let (mut out, mut at) = (String::new(), 0);
    while at < chars.len() {
        match chars[at] {
            '\\' => {
                out.extend(chars.get(at + 1));
                at += 2;
            }
            '`' => {
                let open = run(at);
                let mut end = at + open;
                while end < chars.len() && run(end) != open {
                    end += run(end).max(1);
                }
                at = if end < chars.len() { end + open } else { at + open };
            }
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    out
}

/// What holds for every body, read the way a renderer reads it.
fn check(body: &str) {
    assert_eq!(body.matches("<!--").count(), 3, "{body}");
    assert_eq!(body.matches("tandem:fingerprint:v1:v2:0011 -->").count(), 1);
    assert!(body.len() <= 65_536);
    let mut fence: Option<usize> = None;
    let mut headings = 0;
    let (visible, _) = body.split_once("<!--").unwrap();
    for line in visible.lines().skip(5) {
        let run = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(open) if run >= open && line.trim_end().len() == run => fence = None,
            Some(_) => continue,
            None if run >= 3 => fence = Some(run),
            None => {
                headings += usize::from(line.starts_with('#'));
                assert!(!line.starts_with("---") && !line.starts_with("~~~"), "{line}");
                let text = outside_code(line);
                assert!(!text.contains('<'), "{line}");
                let at = |c: char| c.is_alphanumeric();
                assert!(!text.split('@').skip(1).any(|tail| tail.starts_with(at)), "{line}");
            }
        }
    }
    assert_eq!(fence, None, "{body}");
    assert_eq!(headings, 15, "{body}");
}

#[test]
fn hostile_reports_stay_in_their_quotes() {
    for text in HOSTILE {
        check(&body_of(&format!("{text} seen")));
        check(&body_of(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_gets_out(parts in proptest::collection::vec("[ -~]{0,12}|`{1,6}|<!--|-->|@[a-z]{1,5}|\n|~~~|---|ñ", 1..20)) {
        let text = format!("x{}", parts.concat());
        check(&body_of(&text));
    }

    #[test]
    fn any_report_is_inspected(text in "\\PC{0,400}") {
        let (inspection, _, input) = through(&text, WorkspaceFindings::default());
        prop_assert!(inspection.terms.len() <= inspect::TERM_CAP);
        prop_assert!(input.has_substance());
    }
}
