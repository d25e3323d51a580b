//! What claims must say.

use serde_json::{Map, Value};

/// What is asked of a token's claims.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Rules {
    /// Seconds since 1970.
    pub(crate) now: f64,
    /// Seconds by which clocks may differ.
    pub(crate) leeway: f64,
    /// One of these must have issued it; empty: anyone.
    pub(crate) issuer: Vec<String>,
    /// It must be meant for one of these; empty: anyone.
    pub(crate) audience: Vec<String>,
    /// Whom it is about; none: anyone.
    pub(crate) subject: Option<String>,
    /// Claims that must be there.
    pub(crate) require: Vec<String>,
}

impl Rules {
    /// # Errors
    /// What is wrong, for the function that asked.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), String> {
        if let Some(missing) = self.require.iter().find(|name| !claims.contains_key(*name)) {
            return Err(format!("claim {missing:?} is missing"));
        }
        self.check_times(claims)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if !self.issuer.is_empty() && !text("iss").is_some_and(|iss| self.issuer.iter().any(|i| i == iss)) {
            return Err("the issuer is not the expected one".to_owned());
        }
        if self.subject.is_some() && text("sub") != self.subject.as_deref() {
            return Err("the subject is not the expected one".to_owned());
        }
        let is_expected =
            |audience: &Value| audience.as_str().is_some_and(|a| self.audience.iter().any(|e| e == a));
        let is_for_us = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_expected),
            Some(one) => is_expected(one),
            None => false,
        };
        if !self.audience.is_empty() && !is_for_us {
            return Err("the audience is not the expected one".to_owned());
        }
        Ok(())
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), String> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => {
                value.as_f64().map(Some).ok_or_else(|| format!("claim {name:?} is no number of seconds"))
            }
        };
        if time("exp")?.is_some_and(|exp| self.now >= exp + self.leeway) {
            return Err("the token has expired".to_owned());
        }
        if time("nbf")?.is_some_and(|nbf| self.now < nbf - self.leeway) {
            return Err("the token is not valid yet".to_owned());
        }
        if time("iat")?.is_some_and(|iat| self.now < iat - self.leeway) {
            return Err("the token was issued in the future".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &Rules, claims: &str) -> Result<(), String> {
        rules.check(&serde_json::from_str(claims).expect("an object"))
    }

    #[test]
    fn times_count_to_the_second_and_by_the_leeway() {
        let rules = Rules { now: 1000.0, ..Rules::default() };
        let late = Rules { leeway: 5.0, ..rules.clone() };
        for (claims, text) in [
            (r#"{"exp":1000}"#, "the token has expired"),
            (r#"{"nbf":1001}"#, "the token is not valid yet"),
            (r#"{"iat":1001}"#, "the token was issued in the future"),
        ] {
            assert_eq!(check(&rules, claims), Err(text.to_owned()));
            assert_eq!(check(&late, claims), Ok(()));
        }
        assert_eq!(check(&rules, r#"{"exp":1001,"nbf":1000,"iat":1000}"#), Ok(()));
        assert_eq!(check(&late, r#"{"exp":995}"#), Err("the token has expired".to_owned()));
        assert!(check(&rules, r#"{"exp":"1001"}"#).is_err(), "a time that is no number is not passed over");
    }

    #[test]
    fn an_audience_may_be_one_of_a_list_and_must_be_there() {
        let rules = Rules { audience: vec!["shop".to_owned(), "api".to_owned()], ..Rules::default() };
        for claims in [r#"{"aud":"api"}"#, r#"{"aud":["x","shop"]}"#] {
            assert_eq!(check(&rules, claims), Ok(()), "{claims}");
        }
        for claims in [r#"{"aud":"x"}"#, r#"{"aud":[]}"#, r#"{"aud":null}"#, "{}"] {
            assert!(check(&rules, claims).is_err(), "{claims}");
        }
    }

    #[test]
    fn who_issued_it_and_whom_it_is_about_must_be_said_if_it_is_asked_for() {
        let issued = Rules { issuer: vec!["a".to_owned()], ..Rules::default() };
        assert!(check(&issued, r#"{"iss":"a"}"#).is_ok());
        assert!(check(&issued, r#"{"iss":"b"}"#).is_err() && check(&issued, "{}").is_err());
        let about = Rules { subject: Some("u1".to_owned()), ..Rules::default() };
        assert!(check(&about, r#"{"sub":"u1"}"#).is_ok() && check(&about, "{}").is_err());
        let requires = Rules { require: vec!["exp".to_owned()], ..Rules::default() };
        assert_eq!(check(&requires, "{}"), Err("claim \"exp\" is missing".to_owned()));
    }
}
