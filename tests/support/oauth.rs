//! Signing in: the token endpoint, and the page where a user agrees.

use std::collections::{BTreeMap, HashMap};

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::routes::{json_answer, scripted};
use super::seen::Seen;
use super::server::{ACCOUNT_ID, CLIENT_ID, CLIENT_SECRET, Changing, Identity, World, ZoomServer};

/// Base64 of `demo-client:demo-secret`.
const BASIC: &str = "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=";
/// Who agrees in the browser.
const USER: &str = "user-1";

/// The users' grants, and how tokens are answered.
#[derive(Default)]
pub(super) struct OAuth {
    denies: bool,
    codes: HashMap<String, PendingCode>,
    /// Live refresh token → whose it is.
    refresh_tokens: HashMap<String, String>,
    /// Tokens of the app itself, which open WebSockets and not the API.
    app_tokens: Vec<String>,
    /// What a token's answer says otherwise; `null` leaves the field out.
    overrides: Map<String, Value>,
    clock_ahead: SignedDuration,
    forms: Vec<BTreeMap<String, String>>,
}

/// A code that was handed to a browser and not exchanged yet.
struct PendingCode {
    redirect_uri: String,
    challenge: String,
}

pub(super) fn authorize(world: &World, seen: &Seen) -> Response {
    let given = |key: &str| seen.query.get(key).map_or("", String::as_str);
    let redirect = Url::parse(given("redirect_uri")).ok().filter(is_allowed);
    let is_proper = seen.method == "GET"
        && given("client_id") == CLIENT_ID
        && given("response_type") == "code"
        && given("code_challenge_method") == "S256"
        && !given("code_challenge").is_empty();
    let (true, Some(mut redirect)) = (is_proper, redirect) else {
        return json_answer(400, &json!({ "code": 4700, "message": "Invalid request." }));
    };
    let mut changing = world.changing();
    if changing.oauth.denies {
        redirect.query_pairs_mut().append_pair("error", "access_denied");
    } else {
        let code = changing.next("code");
        redirect.query_pairs_mut().append_pair("code", &code);
        let (redirect_uri, challenge) = (given("redirect_uri").to_owned(), given("code_challenge").to_owned());
        changing.oauth.codes.insert(code, PendingCode { redirect_uri, challenge });
    }
    redirect.query_pairs_mut().append_pair("state", given("state"));
    scripted(302, &[("location", redirect.into())], Vec::new())
}

/// The app's allow list: this machine, any port.
fn is_allowed(redirect: &Url) -> bool {
    redirect.scheme() == "http" && redirect.host_str() == Some("127.0.0.1") && redirect.path() == "/callback"
}

pub(super) fn token(world: &World, seen: &Seen, body: &Bytes) -> Response {
    debug_assert_eq!((CLIENT_ID, CLIENT_SECRET), ("demo-client", "demo-secret"));
    let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
    let given = |key: &str| form.get(key).or_else(|| seen.query.get(key)).map_or("", String::as_str);
    let mut changing = world.changing();
    changing.oauth.forms.push(form.clone());
    let grant = given("grant_type");
    let grants = ["account_credentials", "client_credentials", "authorization_code", "refresh_token"];
    if seen.method != "POST" || !grants.contains(&grant) {
        return refusal("unsupported grant type", "unsupported_grant_type");
    }
    if seen.authorization.as_deref() != Some(BASIC) {
        return refusal("Invalid client_id or client_secret", "invalid_client");
    }
    let owner = match grant {
        "client_credentials" => Owner::App,
        "account_credentials" if given("account_id") == ACCOUNT_ID => Owner::Account,
        "account_credentials" => return refusal("Invalid client_id or client_secret", "invalid_client"),
        "authorization_code" => {
            let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(given("code_verifier")));
            // Good for one try, whatever comes of it.
            let pending = changing.oauth.codes.remove(given("code"));
            if !pending.is_some_and(|code| code.challenge == proof && code.redirect_uri == given("redirect_uri")) {
                return refusal("Invalid authorization code", "invalid_grant");
            }
            // Who agrees again ends what was agreed before.
            changing.oauth.refresh_tokens.retain(|_, user| user != USER);
            Owner::User(USER.to_owned())
        }
        _ => match changing.oauth.refresh_tokens.remove(given("refresh_token")) {
            Some(user) => Owner::User(user),
            None => return refusal("Invalid Token!", "invalid_grant"),
        },
    };
    issue(&mut changing, owner, &world.api_address)
}

fn refusal(reason: &str, error: &str) -> Response {
    json_answer(400, &json!({ "reason": reason, "error": error }))
}

/// Whose token it is.
enum Owner {
    Account,
    App,
    User(String),
}

fn issue(changing: &mut Changing, owner: Owner, api_address: &str) -> Response {
    let scope = match owner {
        Owner::Account => "phone:read:list_call_recordings:admin phone:read:call_recording:admin",
        Owner::App => "",
        Owner::User(_) => "phone:read:list_recordings phone:read:call_recording",
    };
    let token = changing.next("token");
    let mut body = json!({
        "access_token": token, "token_type": "bearer", "expires_in": 3599, "scope": scope, "api_url": api_address
    });
    match owner {
        Owner::Account => drop(changing.access_tokens.insert(token, Identity::Account)),
        Owner::App => changing.oauth.app_tokens.push(token),
        Owner::User(user) => {
            let refresh_token = changing.next("refresh");
            body["refresh_token"] = json!(refresh_token);
            changing.oauth.refresh_tokens.insert(refresh_token, user.clone());
            changing.access_tokens.insert(token, Identity::User(user));
        }
    }
    for (key, value) in &changing.oauth.overrides {
        body[key] = value.clone();
    }
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    let date = (Timestamp::now() - changing.oauth.clock_ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = [("content-type", "application/json".to_owned()), ("date", date)];
    scripted(200, &headers, body.to_string().into_bytes())
}

impl Changing {
    /// A word that was not used before and can be told apart from every other text.
    fn next(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{}", self.issued)
    }
}

impl ZoomServer {
    /// A live refresh token of `user`, as if it had been agreed to elsewhere.
    pub(crate) fn refresh_token_of(&self, user: &str) -> String {
        let mut changing = self.world.changing();
        let token = changing.next("refresh");
        changing.oauth.refresh_tokens.insert(token.clone(), user.to_owned());
        token
    }

    pub(crate) fn takes_refresh_token(&self, token: &str) -> bool {
        self.world.changing().oauth.refresh_tokens.contains_key(token)
    }

    /// Ends every user's grant.
    pub(crate) fn revoke_users(&self) {
        self.world.changing().oauth.refresh_tokens.clear();
    }

    /// From now on the person in the browser says no.
    pub(crate) fn deny_consent(&self) {
        self.world.changing().oauth.denies = true;
    }

    /// Says `value` in field `key` of every token's answer from now on; `null` leaves it out.
    pub(crate) fn answer_tokens_with(&self, key: &str, value: Value) {
        self.world.changing().oauth.overrides.insert(key.to_owned(), value);
    }

    /// Dates every token's answer as if whoever asks were this far ahead.
    pub(crate) fn see_clocks_ahead_by(&self, ahead: SignedDuration) {
        self.world.changing().oauth.clock_ahead = ahead;
    }

    /// What was sent to the token endpoint, in order of arrival.
    pub(crate) fn token_forms(&self) -> Vec<BTreeMap<String, String>> {
        self.world.changing().oauth.forms.clone()
    }

    /// The tokens of the app itself, in order.
    pub(crate) fn app_tokens(&self) -> Vec<String> {
        self.world.changing().oauth.app_tokens.clone()
    }

    /// Every token that was handed out and every code that still is out.
    pub(crate) fn secrets_handed_out(&self) -> Vec<String> {
        let changing = self.world.changing();
        let oauth = &changing.oauth;
        let tokens = oauth.refresh_tokens.keys().chain(&oauth.app_tokens);
        tokens.chain(changing.access_tokens.keys()).chain(changing.oauth.codes.keys()).cloned().collect()
    }

    /// The environment that points `transcribe` here as a user's app.
    pub(crate) fn user_environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.environment();
        environment.retain(|(name, _)| *name != "ZOOM_ACCOUNT_ID");
        environment.push(("TRANSCRIBE__ZOOM__MODE", "user".to_owned()));
        environment
    }
}
