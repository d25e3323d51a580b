//! `random`: numbers, texts and choices by chance.

use crate::Chance;
use crate::call::{Call, Done, Pace, misuse};
use crate::chance::unit;
use crate::registry::Registry;
use data_encoding::{BASE32HEX_NOPAD, BASE64, Encoding, HEXLOWER};
use mlua::{AnyUserData, FromLua, FromLuaMulti, IntoLuaMulti, Lua, LuaString, Table, Value};

/// What may be asked for at once: bytes, or characters.
const MOST: usize = 1 << 20;

/// Up to here every whole number is one of Lua's.
const WHOLE: i64 = 1 << 53;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    let (generator, metatable) = to.class("generator")?;
    let both = Both { module: to, generator: &generator };
    both.add("int", int)?;
    both.add("float", |call, source, (): ()| source.float(call))?;
    both.add("string", string)?;
    both.add("bytes", |call, source, n: f64| encoded(call, source, n, &BASE64))?;
    both.add("hex", |call, source, n: f64| encoded(call, source, n, &HEXLOWER))?;
    both.add("choice", |call, source, list: Table| choice(call, source, &list))?;
    both.add_later("shuffle", shuffle)?;
    to.add("id", |call, (): ()| Ok(id(call)))?;
    let made = metatable.clone();
    to.add("seeded", move |call, seed: LuaString| make(call, &made, Chance::of(&[&seed.as_bytes()])))?;
    to.add("secure", move |call, (): ()| {
        let chance = Chance::of_system()?;
        make(call, &metatable, chance)
    })
}

/// Functions that are the module's and a generator's alike.
struct Both<'a> {
    module: &'a Registry<'a>,
    generator: &'a Registry<'a>,
}

impl Both<'_> {
    fn add<A: FromLuaMulti, R: IntoLuaMulti>(
        &self,
        name: &str,
        f: impl Fn(&Call, &Source, A) -> Done<R> + Copy + 'static,
    ) -> mlua::Result<()> {
        self.module.add(name, move |call, args: A| f(call, &Source::Invocation, args))?;
        self.generator.add(name, move |call, (source, args): (Source, A)| f(call, &source, args))
    }

    fn add_later<A: FromLuaMulti + 'static, R: IntoLuaMulti, F: Future<Output = Done<R>> + 'static>(
        &self,
        name: &str,
        f: impl Fn(Call, Source, A) -> F + Copy + 'static,
    ) -> mlua::Result<()> {
        self.module.add_later(name, move |call, args: A| f(call, Source::Invocation, args))?;
        self.generator.add_later(name, move |call, (source, args): (Source, A)| f(call, source, args))
    }
}

/// Whose random numbers.
enum Source {
    Invocation,
    Generator(AnyUserData),
}

impl FromLua for Source {
    fn from_lua(value: Value, _: &Lua) -> mlua::Result<Self> {
        let state = value.as_table().and_then(|t| t.raw_get::<AnyUserData>("state").ok());
        match state.filter(AnyUserData::is::<Chance>) {
            Some(state) => Ok(Self::Generator(state)),
            None => Err(mlua::Error::FromLuaConversionError {
                from: value.type_name(),
                to: "a generator".to_owned(),
                message: None,
            }),
        }
    }
}

impl Source {
    fn fill(&self, call: &Call, bytes: &mut [u8]) -> Done<()> {
        match self {
            Self::Invocation => call.around.fill_random(bytes),
            Self::Generator(state) => state.borrow_mut::<Chance>()?.fill(bytes),
        }
        Ok(())
    }

    fn next(&self, call: &Call) -> Done<u64> {
        let mut bytes = [0; 8];
        self.fill(call, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// From 0 up to, and not, 1.
    fn float(&self, call: &Call) -> Done<f64> {
        Ok(unit(self.next(call)?))
    }

    /// One of `n` numbers from 0, each as likely as the others.
    fn below(&self, call: &Call, n: u64) -> Done<u64> {
        // the last, incomplete round of numbers is thrown away
        let fair = u64::MAX - u64::MAX % n;
        loop {
            let number = self.next(call)?;
            if number < fair {
                return Ok(number % n);
            }
        }
    }
}

fn make(call: &Call, metatable: &Table, chance: Chance) -> Done<Table> {
    let generator = call.lua.create_table()?;
    generator.raw_set("state", call.lua.create_any_userdata(chance)?)?;
    generator.set_metatable(Some(metatable.clone()))?;
    Ok(generator)
}

fn int(call: &Call, source: &Source, (min, max): (i64, i64)) -> Done<f64> {
    if min > max {
        return misuse(format!("min {min} is above max {max}"));
    }
    if min < -WHOLE || max > WHOLE {
        return misuse("min and max are whole numbers up to 2^53");
    }
    let span = min.abs_diff(max) + 1;
    let above = source.below(call, span)?;
    Ok(min.saturating_add_unsigned(above) as f64)
}

fn string(call: &Call, source: &Source, n: i64) -> Done<LuaString> {
    let length = usize::try_from(n).ok().filter(|n| (1..=MOST).contains(n));
    let Some(length) = length else {
        return misuse(format!("{n} characters: 1 to {MOST} can be had"));
    };
    let mut text = Vec::with_capacity(length);
    for _ in 0..length {
        text.push(ALPHABET[source.below(call, ALPHABET.len() as u64)? as usize]);
    }
    call.text(text)
}

fn encoded(call: &Call, source: &Source, n: f64, encoding: &Encoding) -> Done<Result<String, String>> {
    if n.fract() != 0.0 || !(1.0..=MOST as f64).contains(&n) {
        return Ok(Err(format!("{n} bytes: 1 to {MOST} can be had")));
    }
    let mut bytes = vec![0; n as usize];
    source.fill(call, &mut bytes)?;
    Ok(Ok(encoding.encode(&bytes)))
}

fn choice(call: &Call, source: &Source, list: &Table) -> Done<Value> {
    match list.raw_len() {
        0 => Ok(Value::Nil),
        n => Ok(list.raw_get(source.below(call, n as u64)? + 1)?),
    }
}

/// Fisher and Yates, with places instead of values.
async fn shuffle(call: Call, source: Source, list: Table) -> Done<Table> {
    let count = list.raw_len();
    call.reserve(count.saturating_mul(32))?;
    let mut places: Vec<_> = (1..=count).collect();
    let mut pace = Pace::new(&call);
    for last in (1..count).rev() {
        places.swap(last, source.below(&call, last as u64 + 1)? as usize);
        pace.step().await?;
    }
    let shuffled = call.list()?;
    for place in places {
        shuffled.raw_push(list.raw_get::<Value>(place)?)?;
        pace.step().await?;
    }
    Ok(shuffled)
}

/// As xid makes them: the time in seconds, then what tells apart; 20 characters that sort by time.
fn id(call: &Call) -> String {
    let mut bytes = [0; 12];
    call.around.fill_random(&mut bytes[4..]);
    let seconds = call.around.now().as_secs() as u32;
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    BASE32HEX_NOPAD.encode(&bytes).to_ascii_lowercase()
}
