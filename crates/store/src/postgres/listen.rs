//! Hearing of jobs that other engines wrote. Only a hint: workers look for due jobs by themselves too.

use std::{future::poll_fn, pin::pin, time::Duration};

use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::AsyncMessage;

use super::target::Target;
use crate::write::JOBS_CHANNEL;

const PAUSE: Duration = Duration::from_secs(2);

pub fn start(target: Target, wakes: watch::Sender<u64>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            if let Err(error) = listen(&target, &wakes).await {
                tracing::debug!(%error, "not listening for other engines' jobs now");
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

async fn listen(target: &Target, wakes: &watch::Sender<u64>) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = target.connect().await?;
    let mut messages = pin!(async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                wakes.send_modify(|n| *n += 1);
            }
        }
        Ok::<_, tokio_postgres::Error>(())
    });
    let subscribe = format!("LISTEN {JOBS_CHANNEL}");
    // Messages must be polled for the subscription itself to get through.
    tokio::select! {
        ended = &mut messages => return ended,
        subscribed = client.batch_execute(&subscribe) => subscribed?,
    }
    // Something may have been written between the last connection and this one.
    wakes.send_modify(|n| *n += 1);
    messages.await
}
