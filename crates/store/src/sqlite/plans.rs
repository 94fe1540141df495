//! Every list, lookup and worker question is answered by an index, in the index's order.

use super::{
    files,
    session::{Role, SqliteSession, connect, rows},
};
use crate::{plans::questions, session::Value};

#[test]
fn questions_are_index_seeks() {
    let directory = std::env::temp_dir().join(format!("tandem-plans-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("tandem.db");
    files::prepare(&path).expect("a database");
    drop(SqliteSession::open(&path).expect("it opens"));
    let connection = connect(&path, Role::Reader).expect("a connection");

    for (select, index) in questions() {
        let params: Vec<Value<'_>> = select.params.iter().map(Value::from).collect();
        let plan = rows(&connection, &format!("EXPLAIN QUERY PLAN {}", select.sql), &params).expect("a plan");
        let steps: Vec<String> = plan
            .into_iter()
            .map(|mut row| {
                let _ids = (row.int(), row.int(), row.int());
                row.text().expect("a step")
            })
            .collect();
        let plan = steps.join("\n");
        assert!(plan.contains(index), "{}\n{plan}", select.sql);
        assert!(!plan.contains("TEMP B-TREE"), "sorts: {}\n{plan}", select.sql);
        // The steps over our own recursion are walks by design.
        let walks = |step: &&String| {
            step.starts_with("SCAN")
                && !["walk", "lanes", "CONSTANT", "due", "edge", "bound"].iter().any(|own| step.contains(own))
        };
        assert_eq!(steps.iter().find(walks), None, "walks: {}\n{plan}", select.sql);
    }
    std::fs::remove_dir_all(directory).expect("ours");
}
