//! `flow`: calls another function within the same transaction.

use super::{Call, Registry};
use crate::json::{Style, lossy};
use crate::run::Answered;
use crate::{CalledFunction, Failure, FailureKind, Reply, Response, interrupt};
use bytes::Bytes;
use mlua::{IntoLua, Value};
use std::time::Instant;
use weir_schema::FunctionName;

/// What Spacer's raised; code looks for it.
const RAISED: &str = "weir/flow.lua:17: ";

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("flow_call", |call, (name, args): (Value, Value)| start(call, &name, &args, How::Call))?;
    to.add("flow_try", |call, (name, args): (Value, Value)| start(call, &name, &args, How::Try))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Call,
    Try,
}

fn start(call: &Call, name: &Value, args: &Value, how: How) -> mlua::Result<Answered> {
    let Value::String(name) = name else {
        return call.raise(format!("flow: a function's name expected, got {}", name.type_name()));
    };
    let function = match FunctionName::new(&lossy(name)) {
        Ok(function) => function,
        Err(error) => return call.raise(format!("flow: {error}")),
    };
    let limit = call.run.limits().depth;
    if call.run.depth() > limit as usize {
        let text = format!("flow: calls nested deeper than {limit}");
        return call.run.doom_here(&call.lua, FailureKind::Depth, &text);
    }
    let args = match call.shared.json.to_vec(&call.lua, args, Style::Strict)? {
        Ok(json) => json,
        Err(error) => {
            return call.raise(format!("flow: the arguments of {function} have no JSON form: {error}"));
        }
    };
    // below a comparator or a metamethod nothing can yield, and so nothing in the callee is preempted
    let may_yield = call.run.frame(|f| f.may_yield) && interrupt::can_yield(&call.lua);
    let call = call.clone();
    Ok(Answered::Later(Box::pin(async move { run(&call, function, &args, how, may_yield).await })))
}

async fn run(
    call: &Call,
    function: FunctionName,
    args: &[u8],
    how: How,
    may_yield: bool,
) -> mlua::Result<Answered> {
    let mark = call.run.mark();
    let args = crate::args::from_json(&call.lua, &call.shared.json, &call.run, args)?;
    let (id, started) = (fastrand::u64(1..), Instant::now());
    let parent = call.run.calling.replace(id);
    let result =
        crate::call::call(&call.lua, &call.shared, &call.run, function.clone(), args, may_yield).await;
    call.run.calling.set(parent);
    let error = result.as_ref().err().map(|f| f.message.as_str());
    call.run.host.called(&CalledFunction { function: &function, id, parent, started, error });
    if call.run.is_doomed() {
        return call.raise("the invocation has ended");
    }
    let failed = match result {
        Ok(Reply::Value(json)) => return call.value(decode(call, &json)?),
        Ok(Reply::Response(response)) if (200..300).contains(&response.status) => {
            return call.value(body(call, &response)?);
        }
        Ok(Reply::Response(response)) => Failed::of_response(response),
        Err(failure) => Failed::of(&failure),
    };
    call.run.journal.borrow_mut().rollback(mark);
    match how {
        How::Call => {
            let mut text = RAISED.as_bytes().to_vec();
            text.extend_from_slice(&failed.body);
            Ok(Answered::Raise(Value::String(call.lua.create_string(text)?)))
        }
        How::Try => {
            let error = call.lua.create_table()?;
            error.raw_set("status", failed.status)?;
            error.raw_set("error", decode(call, &failed.error)?)?;
            Ok(Answered::Raise(error.into_lua(&call.lua)?))
        }
    }
}

/// How a callee failed, as HTTP would tell it.
struct Failed {
    status: u16,
    /// The whole body.
    body: Bytes,
    /// What `error` holds in it.
    error: Bytes,
}

impl Failed {
    fn of(failure: &Failure) -> Self {
        let status = match failure.kind {
            FailureKind::NotFound => 404,
            FailureKind::Refused => 400,
            _ => 500,
        };
        let error = match failure.kind {
            FailureKind::NotFound => Bytes::from_static(b"\"not found\""),
            _ => failure.payload.clone(),
        };
        let body = [b"{\"error\":", &error[..], b"}"].concat();
        Self { status, body: body.into(), error }
    }

    fn of_response(response: Response) -> Self {
        Self { status: response.status, error: response.body.clone(), body: response.body }
    }
}

/// JSON as a value; what is not JSON as text.
fn decode(call: &Call, json: &[u8]) -> mlua::Result<Value> {
    crate::args::from_json(&call.lua, &call.shared.json, &call.run, json)
}

fn body(call: &Call, response: &Response) -> mlua::Result<Value> {
    if response.is_json {
        decode(call, &response.body)
    } else {
        call.lua.create_string(&response.body)?.into_lua(&call.lua)
    }
}
