use super::*;

fn translated(source: &str) -> String {
    let translated = translate(source.as_bytes()).map_err(|m| format!("{}: {}", m.line, m.message));
    let text = translated.map(|t| String::from_utf8(t.into_owned()).expect("UTF-8"));
    text.unwrap_or_else(|mistake| mistake)
}

#[test]
fn a_goto_to_the_end_of_its_loop_becomes_continue_where_it_stands() {
    let source = "for i = 1, 9 do\n  if i % 2 == 0 then goto continue end\n  f(i)\n  ::continue::\nend\n";
    let expected = "for i = 1, 9 do\n  if i % 2 == 0 then continue      end\n  f(i)\n              \nend\n";
    assert_eq!(translated(source), expected);
}

#[test]
fn a_goto_before_more_statements_gets_a_block_of_its_own() {
    assert_eq!(
        translated("while a do goto next f() ::next:: end"),
        "while a do do continue end f()          end"
    );
}

#[test]
fn each_loop_may_have_a_label_of_the_same_name() {
    let source = "for a in b do for c in d do if c then goto continue end ::continue:: end ::continue:: end";
    assert_eq!(translated(source).matches("continue ").count(), 1);
    assert!(!translated(source).contains("break"));
}

#[test]
fn a_goto_out_of_inner_loops_sets_a_flag_and_breaks() {
    let source = "for a in b do\nwhile c do\nfor d in e do if f then goto next end end\nend\n::next::\nend";
    let expected = "for a in b do\nlocal __goto_1 = false while c do\nfor d in e do if f then do __goto_1 = true break end end end if __goto_1 then break end\nend if __goto_1 then continue end\n        \nend";
    assert_eq!(translated(source), expected);
}

#[test]
fn two_gotos_of_one_loop_share_their_flag() {
    let source = "for a in b do for c in d do if x then goto n end if y then goto n end end ::n:: end";
    let translated = translated(source);
    assert_eq!(translated.matches("local __goto_").count(), 1);
    assert_eq!(translated.matches("if __goto_1 then continue end").count(), 1);
}

#[test]
fn labels_in_a_row_at_the_end_all_count() {
    assert!(
        translated("for a in b do if c then goto x end if d then goto y end ::x:: ; ::y:: end")
            .contains("continue")
    );
}

#[test]
fn a_label_that_nobody_jumps_to_is_left_out() {
    assert_eq!(translated("for a in b do f(1) ::c:: end"), "for a in b do f(1)       end");
    assert_eq!(translated("do ::top:: f() end return 1 ::x::"), "do         f() end return 1      ");
    for source in ["local x = y :: T :: U", "return (f() :: any :: string)", "x = y :: T :: nil"] {
        assert_eq!(translated(source), source);
    }
}

#[test]
fn any_other_goto_is_refused_with_its_line_and_what_to_write() {
    let refused = |source: &str, line: usize, words: &str| {
        let told = translated(source);
        assert!(told.starts_with(&format!("{line}: goto ")) && told.contains(words), "{source}: {told}");
    };
    refused("\ngoto done\nf()\n::done::", 2, "into a function and `return`");
    refused("::top::\nf()\nif g() then goto top end", 3, "while true do");
    refused("for a in b do goto nowhere end", 1, "no such label");
    refused("for a in b do local function f() goto c end ::c:: end", 1, "no such label");
    refused("for a in b do goto mid ::mid:: f() end", 1, "into a function");
    refused("for a in b do repeat goto c until d ::c:: end", 1, "repeat … until");
}

#[test]
fn goto_as_a_name_a_string_or_a_comment_is_no_jump() {
    for source in [
        "local goto = 1 return goto",
        "t.goto = f 'goto x'",
        "-- goto x\nreturn 1",
        "x = goto\nf()",
        "goto = 1 goto (2)",
        "return a.goto b",
    ] {
        assert_eq!(translated(source), source);
    }
}

#[test]
fn the_engines_own_syntax_beside_a_goto_does_not_confuse_the_blocks() {
    let source = "for a in b do local c = if d then if e then 1 else 2 elseif f then 3 else if g then 4 else 5 if c then goto n end local h = `{if i then function() for j in k do end end else l}` x = y :: n ::n:: end";
    assert!(translated(source).contains("if c then continue"), "{}", translated(source));
}

#[test]
fn what_the_system_reads_before_the_code_is_left_out() {
    assert_eq!(translated("\u{feff}return 1"), "   return 1");
    assert_eq!(translated("#!/usr/bin/lua\nreturn 1"), "              \nreturn 1");
    assert_eq!(
        translated("\u{feff}#!lua\nfor a in b do goto c ::c:: end"),
        "        \nfor a in b do do continue end       end"
    );
}

fn used(source: &str) -> Vec<(usize, String)> {
    uses(source.as_bytes()).into_iter().map(|m| (m.line, m.message)).collect()
}

#[test]
fn what_functions_do_not_have_is_found_with_its_line_and_a_remedy() {
    let found = used(
        "local f = io.open('x')\nos.exit(1)\nlocal ffi = require 'ffi'\ndofile [[x.lua]]\nfunction string.trim(s) end\ntable.size = 1\nlocal io = io\nio.write(1)",
    );
    let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 8]);
    assert!(found[0].1.starts_with("io.open: ") && found[2].1.starts_with("require \"ffi\": "));
    assert!(found[4].1.starts_with("string.trim cannot be set"));
}

#[test]
fn names_that_mean_something_else_are_let_be() {
    let sources = [
        "local io = require 'my/io' io.write(1)",
        "local function dofile(x) end dofile(1)",
        "function f(io) return io.x end",
        "self.io.write(1) t.os.exit()",
        "return {io = 1}, jit, 'io.write()' -- io.open()",
        "local os = os return os.time() .. string.format('x')",
        "require 'socketry'",
    ];
    for source in sources {
        assert_eq!(used(source), [], "{source}");
    }
}
