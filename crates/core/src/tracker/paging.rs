//! Asking a tool for a list page by page, and whether what came is the whole of it.
//!
//! A list that is not known to be whole proves nothing about what is not on it. It is whole when the server says so,
//! when a page is empty, or when a page is shorter than the size that the tool lets its callers set and asking further
//! brings nothing new. A tool that takes no size and says nothing of more has shown as much as it likes: that is not
//! the whole.
//!
//! Only fields are read, never words. Deliberately absent: which tool is asked and what its rows are.

use serde_json::{Map, Value};

use super::tools::knows;
use crate::mcp::ToolRow;

const SIZES: [&str; 6] = ["perPage", "per_page", "pageSize", "page_size", "limit", "first"];
const CURSORS: [&str; 3] = ["after", "cursor", "pageToken"];
const PAGE: &str = "page";
/// Where servers put what they say about further pages.
const HOLDERS: [&str; 5] = ["pageInfo", "pagination", "issues", "comments", "data"];

/// What a page leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    More,
    /// Nothing more can be asked for; `whole` says whether everything has been seen.
    End {
        whole: bool,
    },
}

/// The way through one list.
#[derive(Clone, Debug)]
pub struct Pager {
    size: Option<(&'static str, usize)>,
    paged: bool,
    cursor_key: Option<&'static str>,
    number: u64,
    cursor: Option<String>,
}

impl Pager {
    /// `usual` are the names of size and page number that are said to a tool that does not describe what it takes.
    pub fn of(tool: &ToolRow, wanted: usize, usual: (&'static str, bool)) -> Self {
        let open = tool.input_schema.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty);
        let key = SIZES.into_iter().find(|key| knows(tool, key)).or(open.then_some(usual.0));
        let most = |key: &str| tool.input_schema["properties"][key]["maximum"].as_u64();
        let size = key.map(|key| {
            let most = most(key).and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0);
            (key, most.map_or(wanted, |most| most.min(wanted)))
        });
        Self {
            size,
            paged: knows(tool, PAGE) || (open && usual.1),
            cursor_key: CURSORS.into_iter().find(|key| knows(tool, key)),
            number: 1,
            cursor: None,
        }
    }

    /// Goes on where an earlier way through the same list was left.
    pub fn resume(&mut self, place: &str) {
        match place.strip_prefix("page:").and_then(|number| number.parse().ok()) {
            Some(number) if self.paged => self.number = number,
            Some(_) | None => self.cursor = place.strip_prefix("cursor:").map(str::to_owned),
        }
    }

    /// What [`resume`](Self::resume) takes.
    pub fn place(&self) -> String {
        match &self.cursor {
            Some(cursor) => format!("cursor:{cursor}"),
            None => format!("page:{}", self.number),
        }
    }

    /// Says which page is asked for.
    pub fn ask(&self, fields: &mut Map<String, Value>) {
        if let Some((key, size)) = self.size {
            fields.insert(key.to_owned(), size.into());
        }
        if let (Some(cursor), Some(key)) = (&self.cursor, self.cursor_key) {
            fields.insert(key.to_owned(), cursor.as_str().into());
        } else if self.paged {
            fields.insert(PAGE.to_owned(), self.number.into());
        }
    }

    /// Reads an answer that held `rows`, of which `fresh` were not seen before, and turns to the next page.
    pub fn read(&mut self, answer: &Value, rows: usize, fresh: usize) -> Next {
        let said = said(answer);
        match said.more {
            Some(false) => return Next::End { whole: true },
            None if rows == 0 => return Next::End { whole: true },
            Some(true) | None => {}
        }
        if let (Some(cursor), Some(_)) = (said.cursor, self.cursor_key)
            && self.cursor.as_deref() != Some(cursor)
        {
            self.cursor = Some(cursor.to_owned());
            return Next::More;
        }
        let short = said.more.is_none() && self.size.is_some_and(|(_, size)| rows < size);
        if fresh == 0 || !self.paged || self.cursor.is_some() {
            return Next::End { whole: short };
        }
        self.number += 1;
        Next::More
    }
}

struct Said<'a> {
    more: Option<bool>,
    cursor: Option<&'a str>,
}

/// What an answer's fields say about further pages.
fn said(answer: &Value) -> Said<'_> {
    let mut places = vec![answer];
    places.extend(HOLDERS.iter().filter_map(|key| answer.get(*key)));
    places.extend(HOLDERS.iter().filter_map(|key| answer.get(*key)?.get("pageInfo")));
    let flag = |keys: &[&str]| places.iter().find_map(|at| keys.iter().find_map(|key| at.get(*key)?.as_bool()));
    let word = |keys: &[&str]| {
        let found = places.iter().find_map(|at| keys.iter().find_map(|key| at.get(*key)?.as_str()));
        found.filter(|text| !text.is_empty())
    };
    let cursor = word(&["endCursor", "end_cursor", "nextCursor", "next_cursor", "cursor"]);
    let next = word(&["nextCursor", "next_cursor"]).is_some();
    let more = flag(&["hasNextPage", "has_next_page", "hasMore", "has_more"]).or(next.then_some(true));
    Said { more, cursor: cursor.filter(|_| more == Some(true)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(properties: Value) -> ToolRow {
        ToolRow {
            server_name: "s".into(),
            tool_name: "list_issues".into(),
            namespaced_name: "mcp.s.list_issues".into(),
            description: String::new(),
            input_schema: json!({ "type": "object", "properties": properties }),
            output_schema: None,
            schema_hash: String::new(),
            accepted_hash: String::new(),
            fetched_at_ms: 0,
            withdrawn: false,
            used: false,
        }
    }

    /// Goes through scripted pages of so many rows; a page that repeats brings nothing fresh.
    fn whole(properties: Value, pages: &[(usize, usize, Value)]) -> Option<bool> {
        let mut pager = Pager::of(&tool(properties), 100, ("perPage", true));
        for (rows, fresh, answer) in pages {
            match pager.read(answer, *rows, *fresh) {
                Next::More => {}
                Next::End { whole } => return Some(whole),
            }
        }
        None
    }

    #[test]
    fn a_list_is_whole_only_where_that_is_known() {
        let silent = || json!([]);
        let sized = || json!({ "perPage": {}, "page": {} });
        let table: [(Value, Vec<(usize, usize, Value)>, Option<bool>); 14] = [
            // An empty page ends every list.
            (sized(), vec![(0, 0, silent())], Some(true)),
            (json!({ "owner": {} }), vec![(0, 0, silent())], Some(true)),
            // A short page is looked behind.
            (sized(), vec![(3, 3, silent())], None),
            (sized(), vec![(3, 3, silent()), (0, 0, silent())], Some(true)),
            // The tool ignores the page, but not the size.
            (sized(), vec![(3, 3, silent()), (3, 0, silent())], Some(true)),
            (sized(), vec![(100, 100, silent()), (100, 0, silent())], Some(false)),
            // Nothing else to ask with.
            (json!({ "perPage": {} }), vec![(3, 3, silent())], Some(true)),
            (json!({ "perPage": { "maximum": 3 } }), vec![(3, 3, silent())], Some(false)),
            (json!({ "owner": {} }), vec![(3, 3, silent())], Some(false)),
            // What the server says counts before everything.
            (json!({ "owner": {} }), vec![(3, 3, json!({ "pageInfo": { "hasNextPage": false } }))], Some(true)),
            (
                sized(),
                vec![(3, 3, json!({ "hasNextPage": true })), (0, 0, json!({ "hasNextPage": false }))],
                Some(true),
            ),
            (json!({ "owner": {} }), vec![(3, 3, json!({ "nextCursor": "c" }))], Some(false)),
            (
                json!({ "perPage": {}, "after": {} }),
                vec![
                    (3, 3, json!({ "pageInfo": { "hasNextPage": true, "endCursor": "c" } })),
                    (1, 1, json!({ "pageInfo": { "hasNextPage": false } })),
                ],
                Some(true),
            ),
            // The same cursor again leads nowhere.
            (
                json!({ "perPage": {}, "after": {} }),
                vec![
                    (3, 3, json!({ "pageInfo": { "hasNextPage": true, "endCursor": "c" } })),
                    (3, 0, json!({ "pageInfo": { "hasNextPage": true, "endCursor": "c" } })),
                ],
                Some(false),
            ),
        ];
        for (properties, pages, expected) in table {
            assert_eq!(whole(properties.clone(), &pages), expected, "{properties} {pages:?}");
        }
    }

    #[test]
    fn pages_are_asked_for_as_the_tool_wants() {
        let asked = |pager: &Pager| {
            let mut fields = Map::new();
            pager.ask(&mut fields);
            Value::Object(fields)
        };
        let mut numbered =
            Pager::of(&tool(json!({ "perPage": { "maximum": 50 }, "page": {} })), 100, ("perPage", true));
        assert_eq!(asked(&numbered), json!({ "perPage": 50, "page": 1 }));
        numbered.read(&json!([]), 50, 50);
        assert_eq!(asked(&numbered), json!({ "perPage": 50, "page": 2 }));
        let mut again = Pager::of(&tool(json!({ "page": {} })), 100, ("perPage", true));
        again.resume(&numbered.place());
        assert_eq!(asked(&again), json!({ "page": 2 }));
        let mut cursors = Pager::of(&tool(json!({ "first": {}, "after": {} })), 20, ("perPage", true));
        assert_eq!(asked(&cursors), json!({ "first": 20 }));
        cursors.read(&json!({ "pageInfo": { "hasNextPage": true, "endCursor": "c" } }), 20, 20);
        assert_eq!(asked(&cursors), json!({ "first": 20, "after": "c" }));
        let mut on = Pager::of(&tool(json!({ "first": {}, "after": {} })), 20, ("perPage", true));
        on.resume(&cursors.place());
        assert_eq!(asked(&on), json!({ "first": 20, "after": "c" }));
        // A tool that does not describe itself is asked as the wire contract says.
        assert_eq!(asked(&Pager::of(&tool(json!({})), 100, ("perPage", true))), json!({ "perPage": 100, "page": 1 }));
        assert_eq!(asked(&Pager::of(&tool(json!({})), 50, ("limit", false))), json!({ "limit": 50 }));
    }
}
