//! The same questions here: each is answered by an index, in the index's order, with nothing sorted and no table walked.

use tokio_postgres::NoTls;

use super::{connection::Connection, open_postgres, target::Target};
use crate::{
    plans::questions,
    session::{Stmt, Value},
};

/// The planner is told to avoid what is forbidden: on empty tables it would not care, and where it does it all the same,
/// there is no index that would do.
const STRICT: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
    SET enable_incremental_sort = off";

#[tokio::test]
async fn questions_are_index_seeks() {
    let admin = std::env::var("TANDEM_TEST_POSTGRES_URL").expect("TANDEM_TEST_POSTGRES_URL is set");
    let (client, driver) = tokio_postgres::connect(&admin, NoTls).await.expect("the test server answers");
    tokio::spawn(driver);
    let name = format!("tandem_plans_{}", std::process::id());
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.expect("there is none of this name");
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
    let url = format!("{}/{name}", admin.rsplit_once('/').map_or(admin.as_str(), |(server, _)| server));
    open_postgres(&url).await.expect("it opens").close().await;

    let connection = Connection::open(&Target::parse(&url).expect("an address")).await.expect("it connects");
    connection.control(STRICT).await.expect("settings");
    for (select, _) in questions() {
        let sql = format!("EXPLAIN {}", select.sql);
        let params: Vec<Value<'_>> = select.params.iter().map(Value::from).collect();
        let mut plan = connection.query_all(&[Stmt::new(&sql, params)]).await.expect("a plan");
        let steps = plan.pop().expect("one answer").into_iter().map(|mut row| row.text().expect("a step"));
        let plan = steps.collect::<Vec<_>>().join("\n");
        assert!(plan.contains("Index"), "no index: {}\n{plan}", select.sql);
        for forbidden in ["Seq Scan", "Sort Key"] {
            assert!(!plan.contains(forbidden), "{forbidden}: {}\n{plan}", select.sql);
        }
    }
    drop(connection);
    client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("ours");
}
