//! The token endpoint.

use std::collections::BTreeMap;

use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use url::form_urlencoded;

use super::routes::json_answer;
use super::seen::Seen;
use super::server::{ACCOUNT_ID, CLIENT_ID, CLIENT_SECRET, Identity, World};

/// Base64 of `demo-client:demo-secret`.
const BASIC: &str = "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=";

pub(super) fn token(world: &World, seen: &Seen, body: &Bytes) -> Response {
    debug_assert_eq!((CLIENT_ID, CLIENT_SECRET), ("demo-client", "demo-secret"));
    let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
    let given = |key: &str| form.get(key).or_else(|| seen.query.get(key)).map(String::as_str);
    if seen.method != "POST" || given("grant_type") != Some("account_credentials") {
        return json_answer(400, &json!({ "reason": "unsupported grant type", "error": "unsupported_grant_type" }));
    }
    if seen.authorization.as_deref() != Some(BASIC) || given("account_id") != Some(ACCOUNT_ID) {
        return json_answer(400, &json!({ "reason": "Invalid client_id or client_secret", "error": "invalid_client" }));
    }
    let mut changing = world.changing();
    changing.issued += 1;
    let token = format!("token-{}", changing.issued);
    changing.access_tokens.insert(token.clone(), Identity::Account);
    let scope = "phone:read:list_call_recordings:admin phone:read:call_recording:admin";
    json_answer(
        200,
        &json!({
            "access_token": token, "token_type": "bearer", "expires_in": 3599, "scope": scope,
            "api_url": world.api_address
        }),
    )
}
