//! What a server offers, asked page by page.
//!
//! The protocol layer's cache is passed by: a refresh exists to notice that a description changed.

use std::time::Duration;

use rmcp::model::{ClientRequest, ListResourcesRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool};
use serde_json::{Value, json};
use tandem_core::{
    mcp::{Listing, Offered, ToolError, ToolFault},
    text::truncate,
};

use super::{Link, answer};

const PAGES: usize = 20;
/// One more than is kept, so that the keeper notices.
const TOOLS: usize = tandem_core::mcp::listing::TOOLS + 1;
const RESOURCES: usize = 200;
const PAGE: Duration = Duration::from_secs(12);

pub(super) async fn everything(link: &Link) -> Result<Listing, ToolError> {
    let mut listing = Listing { connection: link.number, ..Listing::default() };
    let Some(server) = link.peer.peer_info() else {
        return Err(ToolError::unsent(ToolFault::ServerDisconnected, "the server has not introduced itself"));
    };
    listing.protocol_version = Some(server.protocol_version.as_str().to_owned());
    listing.server_info =
        server.server_info.as_ref().map(|info| truncate(&format!("{} {}", info.name, info.version), 200));
    if server.capabilities.tools.is_some() {
        tools(link, &mut listing).await?;
    } else {
        listing.warnings.push("the server offers no tools".into());
    }
    if server.capabilities.resources.is_some() {
        // Resources are shown and nothing more, so a server that fails at them still has its tools.
        if let Err(error) = resources(link, &mut listing).await {
            listing.warnings.push(format!("resources could not be listed: {}", error.fault));
        }
    }
    Ok(listing)
}

async fn tools(link: &Link, listing: &mut Listing) -> Result<(), ToolError> {
    let mut cursor: Option<String> = None;
    let mut seen = Vec::new();
    for _ in 0..PAGES {
        let params = Some(PaginatedRequestParams::default().with_cursor(cursor.take()));
        let request = ClientRequest::ListToolsRequest(ListToolsRequest {
            method: Default::default(),
            params,
            extensions: Default::default(),
        });
        let ServerResult::ListToolsResult(page) = ask(link, request).await? else {
            return Err(ToolError::unsent(ToolFault::Malformed, "the answer to tools/list is no list of tools"));
        };
        listing.tools.extend(page.tools.into_iter().take(TOOLS - listing.tools.len()).map(offered));
        let Some(next) = page.next_cursor else { return Ok(()) };
        if listing.tools.len() == TOOLS {
            return Ok(());
        }
        if seen.contains(&next) {
            listing.warnings.push("tools/list went in a circle".into());
            return Ok(());
        }
        seen.push(next.clone());
        cursor = Some(next);
    }
    listing.warnings.push(format!("only the first {PAGES} pages of tools were read"));
    Ok(())
}

async fn resources(link: &Link, listing: &mut Listing) -> Result<(), ToolError> {
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let params = Some(PaginatedRequestParams::default().with_cursor(cursor.take()));
        let request = ClientRequest::ListResourcesRequest(ListResourcesRequest {
            method: Default::default(),
            params,
            extensions: Default::default(),
        });
        let ServerResult::ListResourcesResult(page) = ask(link, request).await? else {
            return Err(ToolError::unsent(ToolFault::Malformed, "the answer to resources/list is no list"));
        };
        for resource in page.resources.into_iter().take(RESOURCES - listing.resources.len()) {
            listing.resources.push(json!({
                "uri": truncate(&resource.uri, 1_000),
                "name": truncate(&resource.name, 200),
                "description": resource.description.map(|text| truncate(&text, 500)),
                "mime_type": resource.mime_type.map(|text| truncate(&text, 100)),
            }));
        }
        match page.next_cursor {
            Some(next) if listing.resources.len() < RESOURCES => cursor = Some(next),
            Some(_) | None => return Ok(()),
        }
    }
    Ok(())
}

async fn ask(link: &Link, request: ClientRequest) -> Result<ServerResult, ToolError> {
    link.seen.clear();
    match tokio::time::timeout(PAGE, link.peer.send_request(request)).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(unsent(answer::failed(error, &link.seen))),
        Err(_) => Err(link
            .seen
            .take()
            .map_or_else(|| ToolError::unsent(ToolFault::Timeout, "a page of a list took too long"), unsent)),
    }
}

/// Listing has no effect that could be in doubt.
fn unsent(error: ToolError) -> ToolError {
    ToolError { may_have_acted: false, ..error }
}

fn offered(tool: Tool) -> Offered {
    let object = |map: &serde_json::Map<String, Value>| Value::Object(map.clone());
    Offered {
        name: tool.name.into_owned(),
        title: tool.title,
        description: tool.description.map(|text| text.into_owned()),
        input_schema: object(&tool.input_schema),
        output_schema: tool.output_schema.as_deref().map(object),
        annotations: tool.annotations.and_then(|hints| serde_json::to_value(hints).ok()),
    }
}
