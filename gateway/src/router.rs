//! The route table: method and path → function.
//!
//! Rules as Spacer's (a project's `app/gateway.lua` decides), with its flaws mended: a fixed segment beats a
//! parameter, a parameter beats a wildcard, and a branch that fails backtracks. Repeated slashes collapse and a
//! trailing one is ignored. A segment whose pattern has a dot is split at dots (`/:id.:format`); otherwise a
//! parameter takes dots. Values arrive percent-decoded.

use foldhash::HashMap;
use std::borrow::Cow;
use std::collections::BTreeMap;
use weir_schema::FunctionName;

/// Finds the function of a request.
#[derive(Clone, Default, Debug)]
pub struct Router {
    methods: BTreeMap<String, Node>,
    routes: Vec<Route>,
}

/// One line of `app/gateway.lua`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Upper case.
    pub method: String,
    /// As written.
    pub path: String,
    /// What it runs.
    pub function: FunctionName,
}

/// What a path met.
#[derive(PartialEq, Eq, Debug)]
pub struct Matched<'r> {
    /// The route.
    pub route: &'r Route,
    /// The values of its parameters, decoded, in the order of the pattern.
    pub params: Vec<(String, String)>,
}

/// Why a route cannot be served.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RouteError {
    /// The pattern is none.
    #[error("app/gateway.lua: route {method} {path}: {reason}")]
    Pattern {
        /// Of the route.
        method: String,
        /// Of the route.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Two routes take the same requests.
    #[error("app/gateway.lua: route {method} {path} takes the same requests as {other}")]
    Twice {
        /// Of the second.
        method: String,
        /// Of the second.
        path: String,
        /// The first one's path.
        other: String,
    },
}

#[derive(Clone, Default, Debug)]
struct Node {
    fixed: HashMap<String, Node>,
    dotted: Vec<(Vec<Part>, Node)>,
    param: Option<Box<Node>>,
    wildcard: Option<usize>,
    here: Option<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Fixed(String),
    Param,
}

impl Router {
    /// Builds the table.
    ///
    /// # Errors
    /// Every route that is not well-formed or stands twice.
    pub fn new(routes: Vec<Route>) -> Result<Self, Vec<RouteError>> {
        let mut methods: BTreeMap<String, Node> = BTreeMap::new();
        let mut errors = Vec::new();
        for (i, route) in routes.iter().enumerate() {
            let root = methods.entry(route.method.clone()).or_default();
            if let Err(reason) = check(&route.path) {
                let (method, path) = (route.method.clone(), route.path.clone());
                errors.push(RouteError::Pattern { method, path, reason });
            } else if let Some(other) = root.insert(&segments(&route.path), i) {
                let (method, path) = (route.method.clone(), route.path.clone());
                errors.push(RouteError::Twice { method, path, other: routes[other].path.clone() });
            }
        }
        if errors.is_empty() { Ok(Self { methods, routes }) } else { Err(errors) }
    }

    /// The routes in the order of the file.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route of a request. HEAD follows GET where it has no route of its own.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<Matched<'_>> {
        let follow = if method == "HEAD" { Some("GET") } else { None };
        self.find_exact(method, path).or_else(|| self.find_exact(follow?, path))
    }

    /// The methods that have a route for this path, for `Allow`.
    #[must_use]
    pub fn allowed(&self, path: &str) -> Vec<&str> {
        let mut allowed: Vec<_> =
            self.methods.keys().map(String::as_str).filter(|m| self.find_exact(m, path).is_some()).collect();
        if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
            allowed.push("HEAD");
        }
        allowed
    }

    fn find_exact(&self, method: &str, path: &str) -> Option<Matched<'_>> {
        let mut values = Vec::new();
        let found = self.methods.get(method)?.find(&segments(path), &mut values)?;
        let route = &self.routes[found];
        Some(Matched { params: param_names(&route.path).map(str::to_owned).zip(values).collect(), route })
    }
}

impl Node {
    /// Puts a route below; the other one if its place is taken.
    fn insert(&mut self, pattern: &[&str], route: usize) -> Option<usize> {
        let Some((first, rest)) = pattern.split_first() else {
            return self.here.replace(route);
        };
        if first.starts_with('*') {
            return self.wildcard.replace(route);
        }
        let next = if first.contains('.') && first.contains(':') {
            let parts = dotted_parts(first);
            let index = self.dotted.iter().position(|(p, _)| *p == parts).unwrap_or(self.dotted.len());
            if index == self.dotted.len() {
                self.dotted.push((parts, Self::default()));
            }
            &mut self.dotted[index].1
        } else if first.starts_with(':') {
            self.param.get_or_insert_with(Box::default)
        } else {
            self.fixed.entry((*first).to_owned()).or_default()
        };
        next.insert(rest, route)
    }

    fn find(&self, path: &[&str], values: &mut Vec<String>) -> Option<usize> {
        let Some((first, rest)) = path.split_first() else {
            return self.here;
        };
        let segment = decode(first);
        let before = values.len();
        let mut attempt = |node: &Self, taken: Vec<String>| {
            values.truncate(before);
            values.extend(taken);
            node.find(rest, values)
        };
        let fixed = self.fixed.get(&*segment).and_then(|node| attempt(node, Vec::new()));
        let dotted =
            || self.dotted.iter().find_map(|(parts, node)| attempt(node, match_dotted(parts, &segment)?));
        let found = fixed.or_else(dotted);
        let found = found.or_else(|| {
            let param = self.param.as_ref()?;
            values.truncate(before);
            values.push(segment.to_string());
            param.find(rest, values)
        });
        found.or_else(|| {
            let route = self.wildcard?;
            values.truncate(before);
            values.push(path.iter().map(|s| decode(s)).collect::<Vec<_>>().join("/"));
            Some(route)
        })
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|s| !s.is_empty()).collect()
}

fn decode(segment: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy()
}

fn dotted_parts(pattern: &str) -> Vec<Part> {
    pattern
        .split('.')
        .map(|p| if p.starts_with(':') { Part::Param } else { Part::Fixed(p.to_owned()) })
        .collect()
}

fn match_dotted(parts: &[Part], segment: &str) -> Option<Vec<String>> {
    let pieces: Vec<_> = segment.split('.').collect();
    if pieces.len() != parts.len() {
        return None;
    }
    let mut values = Vec::new();
    for (part, piece) in parts.iter().zip(pieces) {
        match part {
            Part::Fixed(text) if text == piece => {}
            Part::Param if !piece.is_empty() => values.push(piece.to_owned()),
            Part::Fixed(_) | Part::Param => return None,
        }
    }
    Some(values)
}

fn param_names(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split(['/', '.']).filter_map(|s| s.strip_prefix([':', '*']))
}

fn check(pattern: &str) -> Result<(), &'static str> {
    if !pattern.starts_with('/') {
        return Err("a path begins with /");
    }
    let all = segments(pattern);
    if all.iter().rev().skip(1).any(|s| s.starts_with('*')) {
        return Err("a wildcard stands at the end");
    }
    let mut names: Vec<_> = param_names(pattern).collect();
    if names.contains(&"") {
        return Err("a parameter has a name, as :id");
    }
    names.sort_unstable();
    if names.windows(2).any(|w| w[0] == w[1]) { Err("two parameters have the same name") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str, &str)]) -> Router {
        let route = |(method, path, function): &(&str, &str, &str)| Route {
            method: (*method).into(),
            path: (*path).into(),
            function: FunctionName::new(function).expect("valid"),
        };
        Router::new(routes.iter().map(route).collect()).expect("a table")
    }

    fn find(router: &Router, method: &str, path: &str) -> Option<String> {
        let matched = router.find(method, path)?;
        let params: Vec<_> = matched.params.iter().map(|(n, v)| format!("{n}={v}")).collect();
        Some(format!("{}({})", matched.route.function, params.join(",")))
    }

    #[test]
    fn fixed_beats_parameter_beats_wildcard_and_a_failed_branch_backtracks() {
        let r = router(&[
            ("GET", "/users/me", "me"),
            ("GET", "/users/:id", "user"),
            ("GET", "/users/:id/posts", "posts"),
            ("GET", "/users/*rest", "rest"),
        ]);
        assert_eq!(find(&r, "GET", "/users/me").as_deref(), Some("me()"));
        assert_eq!(find(&r, "GET", "/users/7").as_deref(), Some("user(id=7)"));
        assert_eq!(find(&r, "GET", "/users/me/posts").as_deref(), Some("posts(id=me)"));
        assert_eq!(find(&r, "GET", "/users/me/x/y").as_deref(), Some("rest(rest=me/x/y)"));
        assert_eq!(find(&r, "GET", "/users"), None);
    }

    #[test]
    fn slashes_collapse_and_a_trailing_one_is_ignored() {
        let r = router(&[("GET", "/", "root"), ("GET", "/a/:b", "ab")]);
        assert_eq!(find(&r, "GET", "/").as_deref(), Some("root()"));
        assert_eq!(find(&r, "GET", "//a//x/").as_deref(), Some("ab(b=x)"));
    }

    #[test]
    fn dots_separate_only_where_the_pattern_has_one() {
        let r = router(&[
            ("GET", "/f/:id.:format", "file"),
            ("GET", "/f/:name", "plain"),
            ("GET", "/f/robots.txt", "robots"),
        ]);
        assert_eq!(find(&r, "GET", "/f/7.json").as_deref(), Some("file(id=7,format=json)"));
        assert_eq!(find(&r, "GET", "/f/a.b.c").as_deref(), Some("plain(name=a.b.c)"));
        assert_eq!(find(&r, "GET", "/f/robots.txt").as_deref(), Some("robots()"));
    }

    #[test]
    fn values_arrive_decoded_and_an_encoded_slash_does_not_split() {
        let r = router(&[("GET", "/u/:name", "u")]);
        assert_eq!(find(&r, "GET", "/u/a%2Fb%20c").as_deref(), Some("u(name=a/b c)"));
    }

    #[test]
    fn head_follows_get_and_allow_lists_what_there_is() {
        let r = router(&[("GET", "/a", "a"), ("DELETE", "/a", "d")]);
        assert_eq!(find(&r, "HEAD", "/a").as_deref(), Some("a()"));
        assert_eq!(find(&r, "POST", "/a"), None);
        assert_eq!(r.allowed("/a"), ["DELETE", "GET", "HEAD"]);
        assert!(r.allowed("/b").is_empty());
    }

    #[test]
    fn every_bad_route_is_told() {
        let bad = |path: &str| Route {
            method: "GET".into(),
            path: path.into(),
            function: FunctionName::new("f").expect("valid"),
        };
        let errors =
            Router::new(vec![bad("x"), bad("/*a/b"), bad("/:"), bad("/:a/:a"), bad("/:a"), bad("/:b")])
                .expect_err("bad");
        assert_eq!(errors.len(), 5);
        assert_eq!(errors[4].to_string(), "app/gateway.lua: route GET /:b takes the same requests as /:a");
    }
}
