//! Random Lua programs: they call whatever functions there are with whatever values there are, in all the shapes that
//! the language has, and go on after errors.

use fastrand::Rng;
use std::fmt::Write as _;

/// Statements of a program.
const STATEMENTS: usize = 30;
/// Variables that all statements share.
const VARIABLES: usize = 8;
/// How deep expressions and blocks nest.
const DEEPEST: u32 = 3;

const NUMBERS: [&str; 16] = [
    "0", "1", "-1", "2", "3", "10", "100", "0.5", "-0", "1e6", "1e9", "2^31", "2^53", "1e308", "(0/0)",
    "(1/0)",
];

const TEXTS: [&str; 16] = [
    "''",
    "'a'",
    "'%d'",
    "'%s'",
    "'.-'",
    "'(a*)*'",
    "'[%a-]'",
    "'%f[%w]%b()'",
    "'\\0'",
    "'\\255\\254'",
    "'k'",
    "'__index'",
    "'<i8z'",
    "'{\"a\":[1,null]}'",
    "('ab'):rep(1000)",
    "('('):rep(300)",
];

const METAMETHODS: [&str; 12] = [
    "__index",
    "__newindex",
    "__call",
    "__tostring",
    "__len",
    "__eq",
    "__lt",
    "__concat",
    "__add",
    "__unm",
    "__iter",
    "__metatable",
];

const OPERATORS: [&str; 14] = ["+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "<", "<=", "and", "or"];

/// What all functions share, or what leads to it.
const SHARED: [&str; 9] = [
    "_G",
    "string",
    "table",
    "getmetatable('')",
    "getmetatable(_G)",
    "require('json')",
    "require('state')",
    "package.loaded",
    "coroutine.running()",
];

/// The program of a seed. `functions` are the names of all functions that there are.
pub(crate) fn program(seed: u64, functions: &[String]) -> String {
    let mut writer = Writer { rng: Rng::with_seed(seed), functions, out: String::new(), labels: 0 };
    writer
        .out
        .push_str("local v = {}\nreturn function(args, ctx)\nv[1], v[2], v[3] = args, ctx, {1, 2, 3}\n");
    for _ in 0..STATEMENTS {
        writer.out.push_str("pcall(function(...) ");
        writer.statement(0);
        writer.out.push_str(" end, 1, 2)\n");
    }
    writer.out.push_str("return v[1]\nend\n");
    writer.out
}

struct Writer<'f> {
    rng: Rng,
    functions: &'f [String],
    out: String,
    labels: u32,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.rng.usize(..texts.len())]
    }

    fn variable(&mut self) {
        let n = self.rng.usize(1..=VARIABLES);
        write!(self.out, "v[{n}]").expect("a string takes what is written to it");
    }

    fn block(&mut self, depth: u32) {
        for _ in 0..self.rng.usize(1..=3) {
            self.statement(depth + 1);
            self.put(" ");
        }
    }

    fn statement(&mut self, depth: u32) {
        // a loop without an end is the end of its program
        if depth < DEEPEST && self.rng.u32(..200) == 0 {
            self.put("while true do ");
            self.block(depth);
            return self.put("end");
        }
        let shapes = if depth < DEEPEST { 12 } else { 4 };
        match self.rng.u32(..shapes) {
            0 | 1 => {
                self.variable();
                self.put(" = ");
                self.call(depth);
            }
            2 => {
                self.variable();
                self.put(" = ");
                self.expression(depth);
            }
            3 => {
                self.variable();
                self.put("[");
                self.expression(depth);
                self.put("] = ");
                self.expression(depth);
            }
            4 => self.if_statement(depth),
            5 => self.loop_with_jumps(depth),
            6 => {
                self.put("for a, b in ");
                self.expression(depth);
                self.put(" do ");
                self.block(depth);
                self.put("break end");
            }
            7 => {
                self.put("error(");
                self.expression(depth);
                self.put(")");
            }
            8 => self.metatable(depth),
            9 => self.coroutine(depth),
            10 => {
                self.put("coroutine.yield(");
                self.expression(depth);
                self.put(")");
            }
            _ => {
                self.variable();
                self.put(" = select(2, pcall(");
                self.expression(depth);
                self.put(", ");
                self.expression(depth);
                self.put("))");
            }
        }
    }

    fn if_statement(&mut self, depth: u32) {
        self.put("if ");
        self.expression(depth);
        self.put(" then ");
        self.block(depth);
        self.put("else ");
        self.block(depth);
        self.put("end");
    }

    /// A loop whose label stands at its end, and inner ones that may jump there.
    fn loop_with_jumps(&mut self, depth: u32) {
        self.labels += 1;
        let label = self.labels;
        let inner = if self.rng.bool() { "for j = 1, 3 do " } else { "do " };
        write!(self.out, "for i = 1, 4 do {inner}if ").expect("a string takes what is written to it");
        self.expression(depth);
        write!(self.out, " then goto l{label} end ").expect("a string takes what is written to it");
        self.block(depth);
        write!(self.out, "end ::l{label}:: end").expect("a string takes what is written to it");
    }

    fn metatable(&mut self, depth: u32) {
        self.variable();
        self.put(" = setmetatable({");
        self.expression(depth);
        self.put("}, {");
        for _ in 0..self.rng.usize(1..=3) {
            let name = self.pick(&METAMETHODS);
            self.put(name);
            self.put(" = ");
            self.expression(depth);
            self.put(", ");
        }
        self.put("})");
    }

    fn coroutine(&mut self, depth: u32) {
        self.variable();
        let how = self.pick(&[" = coroutine.wrap(", " = coroutine.create("]);
        self.put(how);
        self.function(depth);
        self.put(")");
    }

    fn call(&mut self, depth: u32) {
        match self.rng.u32(..10) {
            0 => self.variable(),
            _ => {
                let name = &self.functions[self.rng.usize(..self.functions.len())];
                self.out.push_str(name);
            }
        }
        self.put("(");
        for i in 0..self.rng.usize(..5) {
            if i > 0 {
                self.put(", ");
            }
            self.expression(depth);
        }
        self.put(")");
    }

    fn function(&mut self, depth: u32) {
        self.put("function(x, ...) ");
        self.block(depth);
        self.put("return ");
        self.expression(depth);
        self.put(" end");
    }

    fn expression(&mut self, depth: u32) {
        let shapes = if depth < DEEPEST { 15 } else { 9 };
        match self.rng.u32(..shapes) {
            0 => {
                let constant = self.pick(&["nil", "true", "false", "{}"]);
                self.put(constant);
            }
            1 => {
                let shared = self.pick(&SHARED);
                self.put(shared);
            }
            2 => {
                let number = self.pick(&NUMBERS);
                self.put(number);
            }
            3 | 4 => {
                let text = self.pick(&TEXTS);
                self.put(text);
            }
            5..=8 => self.variable(),
            9 => self.call(depth + 1),
            10 => self.function(depth + 1),
            11 => {
                self.put("{");
                self.expression(depth + 1);
                self.put(", k = ");
                self.expression(depth + 1);
                self.put("}");
            }
            12 => {
                let operator = self.pick(&["not ", "-", "#"]);
                self.put(operator);
                self.variable();
            }
            13 => {
                self.variable();
                self.put(".k");
            }
            _ => {
                self.put("(");
                self.expression(depth + 1);
                let operator = self.pick(&OPERATORS);
                write!(self.out, " {operator} ").expect("a string takes what is written to it");
                self.expression(depth + 1);
                self.put(")");
            }
        }
    }
}
