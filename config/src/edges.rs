//! Where Weir listens, and who may call.

use crate::reader::Reader;
use crate::setting::{Optional, Said, Setting, Url, WebOrigin, Wrong};
use crate::{Admin, Cors, CorsOrigins, Environment, Http, Mode, Origin, Outbound, Secret, WriteProxy};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Every address, and the admin token that guards two of them.
pub(crate) struct Edges {
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: Admin,
    pub(crate) health: Option<SocketAddr>,
    pub(crate) write_proxy: WriteProxy,
}

pub(crate) fn edges(reader: &mut Reader<'_>) -> Edges {
    let gateway = gateway(reader);
    let write_listen = reader.value("writeProxyListen", "");
    let admin = admin(reader);
    let health: Said<Optional<SocketAddr>> = reader.value("weir.health.listen", "");
    let is_open = reader.value("weir.writeProxy.open", "").value;
    let (write_proxy, write_origin) = write_proxy(reader, write_listen, admin.value.token.is_some(), is_open);
    let mut listeners = vec![
        ("gateway", gateway.value, gateway.origin),
        ("weir.admin.listen", admin.value.listen, admin.origin),
        ("writeProxyListen", write_proxy.listen, write_origin),
    ];
    listeners.extend(health.value.0.map(|address| ("weir.health.listen", address, health.origin)));
    refuse_clashes(reader, &listeners);
    Edges { gateway: gateway.value, admin: admin.value, health: health.value.0, write_proxy }
}

fn gateway(reader: &mut Reader<'_>) -> Said<SocketAddr> {
    let input = reader.input;
    let invoker: Said<Url> = reader.value("functionInvoker", "");
    let host = match input.mode {
        Mode::Dev => Ipv4Addr::LOCALHOST,
        Mode::Start => Ipv4Addr::UNSPECIFIED,
    };
    let on = |port| SocketAddr::new(IpAddr::V4(host), port);
    let platform = input.variables.get("PORT").filter(|v| input.mode == Mode::Start && !v.is_empty());
    let said = if let Some(said) = flag(reader, "--listen", input.flags.listen.as_deref()) {
        said
    } else if let Some(port) = input.flags.port {
        Said { value: on(port), origin: Origin::Flag("--port") }
    } else if let Some(text) = platform {
        let origin = Origin::Environment("PORT".to_owned());
        let port = text.parse().unwrap_or_else(|_| {
            let wrong = Wrong::new(format!("{text:?} is no port"), "write a number from 0 to 65535");
            reader.wrong(origin.clone(), "", wrong);
            invoker.value.port
        });
        Said { value: on(port), origin }
    } else {
        Said { value: on(invoker.value.port), origin: invoker.origin }
    };
    reader.show("gateway", said.value.to_string(), said.origin.clone());
    said
}

fn admin(reader: &mut Reader<'_>) -> Said<Admin> {
    let configured = reader.value("weir.admin.listen", "");
    let listen =
        moved(reader, "--admin", reader.input.flags.admin.as_deref(), 1, configured, "weir.admin.listen");
    let token: Said<Secret> = reader.value("weir.admin.token", "");
    let token = Some(token.value).filter(|token| !token.reveal().is_empty());
    let is_token_wrong = reader.mistakes.iter().any(|mistake| mistake.path == "weir.admin.token");
    if token.is_none() && !is_token_wrong && !listen.value.ip().is_loopback() {
        let problem =
            format!("{} is reachable from other machines and there is no admin token", listen.value);
        let remedy = "set WEIR_ADMIN_TOKEN or weir.admin.token, or listen on 127.0.0.1";
        reader.wrong(listen.origin.clone(), "weir.admin.listen", Wrong::new(problem, remedy));
    }
    Said { value: Admin { listen: listen.value, token }, origin: listen.origin }
}

fn write_proxy(
    reader: &mut Reader<'_>,
    mut configured: Said<SocketAddr>,
    has_token: bool,
    is_open: bool,
) -> (WriteProxy, Origin) {
    let input = reader.input;
    // Spacer's own template says ":9065", all interfaces, which nobody wants on a laptop.
    if input.mode == Mode::Dev {
        configured.value.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let mut listen =
        moved(reader, "--write-proxy", input.flags.write_proxy.as_deref(), 2, configured, "writeProxyListen");
    if !listen.value.ip().is_loopback() && !has_token && !is_open {
        let problem = format!(
            "{} would let anyone append, and there is no admin token: bound to 127.0.0.1",
            listen.value
        );
        let remedy = "set WEIR_ADMIN_TOKEN or weir.admin.token, or say weir.writeProxy.open: true";
        reader.warn(listen.origin.clone(), "writeProxyListen", Wrong::new(problem, remedy));
        listen.value.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    set_shown(reader, "writeProxyListen", &listen);
    let needs_token = !listen.value.ip().is_loopback() && !is_open;
    (WriteProxy { listen: listen.value, needs_token }, listen.origin)
}

/// The flag's address, else the configured one, its port moved by `--port`.
fn moved(
    reader: &mut Reader<'_>,
    name: &'static str,
    text: Option<&str>,
    distance: u16,
    configured: Said<SocketAddr>,
    key: &str,
) -> Said<SocketAddr> {
    let said = match (flag(reader, name, text), reader.input.flags.port) {
        (Some(said), _) => said,
        (None, Some(0)) => port_flag(configured.value, 0),
        (None, Some(port)) => match port.checked_add(distance) {
            Some(port) => port_flag(configured.value, port),
            None => {
                let wrong = Wrong::new(format!("{port} leaves no port for {key}"), "write at most 65533");
                reader.wrong(Origin::Flag("--port"), "", wrong);
                configured
            }
        },
        (None, None) => configured,
    };
    set_shown(reader, key, &said);
    said
}

fn port_flag(mut address: SocketAddr, port: u16) -> Said<SocketAddr> {
    address.set_port(port);
    Said { value: address, origin: Origin::Flag("--port") }
}

fn flag(reader: &mut Reader<'_>, name: &'static str, text: Option<&str>) -> Option<Said<SocketAddr>> {
    let origin = Origin::Flag(name);
    match SocketAddr::parse(text?) {
        Ok(value) => Some(Said { value, origin }),
        Err(wrong) => {
            reader.wrong(origin, "", wrong);
            None
        }
    }
}

/// What is shown is what is bound, not what was asked for.
fn set_shown(reader: &mut Reader<'_>, key: &str, said: &Said<SocketAddr>) {
    for entry in reader.entries.iter_mut().filter(|entry| entry.path == key) {
        entry.value = said.value.to_string();
        entry.origin = said.origin.clone();
    }
}

fn refuse_clashes(reader: &mut Reader<'_>, listeners: &[(&'static str, SocketAddr, Origin)]) {
    for (i, (path, address, origin)) in listeners.iter().enumerate() {
        let overlaps = |other: &SocketAddr| {
            let is_same_host =
                other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified();
            other.port() == address.port() && address.port() != 0 && is_same_host
        };
        if let Some((first, ..)) = listeners[..i].iter().find(|(_, other, _)| overlaps(other)) {
            let problem = format!("{address} is taken by {first}");
            reader.wrong(origin.clone(), *path, Wrong::new(problem, "give each listener a port of its own"));
        }
    }
}

pub(crate) fn http(reader: &mut Reader<'_>) -> Http {
    let cors = cors(reader);
    let proxies = reader.list("weir.http.trustedProxies", "").unwrap_or_default();
    Http { cors, trusted_proxies: proxies.into_iter().map(|said| said.value).collect() }
}

pub(crate) fn outbound(reader: &mut Reader<'_>, environment: &Environment) -> Outbound {
    fn listed<T: Setting>(reader: &mut Reader<'_>, key: &str) -> Option<Vec<T>> {
        reader.list(key, "").map(|list| list.into_iter().map(|said| said.value).collect())
    }
    let private = listed(reader, "weir.outbound.private");
    Outbound {
        allow: listed(reader, "weir.outbound.allow").unwrap_or_default(),
        deny: listed(reader, "weir.outbound.deny").unwrap_or_default(),
        private: private.or_else(|| (!environment.is_development()).then(Vec::new)),
        ca: reader.optional("weir.outbound.ca", "").map(|said| said.value),
        timeout: reader.value("weir.outbound.timeout", "").value,
        max_body: reader.value("weir.outbound.maxBody", "").value,
    }
}

fn cors(reader: &mut Reader<'_>) -> Cors {
    let listed: Option<Vec<Said<WebOrigin>>> = reader.list("weir.http.cors.origins", "");
    let methods = reader.list("weir.http.cors.methods", "").unwrap_or_default();
    let headers = reader.list("weir.http.cors.headers", "").unwrap_or_default();
    let credentials: Said<bool> = reader.value("weir.http.cors.credentials", "");
    let max_age = reader.value("weir.http.cors.maxAge", "").value;
    let is_any = listed.iter().flatten().any(|said| said.value.0 == "*");
    if is_any && credentials.value {
        let wrong =
            Wrong::new("true with origins \"*\": no browser accepts that", "list the origins by name");
        reader.wrong(credentials.origin, "weir.http.cors.credentials", wrong);
    }
    let origins = match listed {
        _ if is_any => CorsOrigins::Any,
        None if reader.input.mode == Mode::Dev => CorsOrigins::Any,
        listed => CorsOrigins::These(listed.into_iter().flatten().map(|said| said.value.0).collect()),
    };
    Cors {
        origins,
        methods: methods.into_iter().map(|said| said.value).collect(),
        headers: headers.into_iter().map(|said| said.value).collect(),
        credentials: credentials.value,
        max_age,
    }
}
