//! Expressions as somebody writes them: an answer or an error in time, and the process goes on.

use super::tests::{eval, promised};

const SEEDS: [&str; 9] = [
    "object.spec.replicas in [1, 3, 5] && !has(oldObject.spec)",
    "object.spec.mounts.all(m, !has(m.hostPath) || m.path.startsWith('/x'))",
    "object.metadata.labels['team'].matches('^[a-z]+$') ? true : request.operation == 'UPDATE'",
    "quantity('1Gi').compareTo(quantity('2Gi')) < 0 || semver('1.2.3').major() == 1",
    "[1, 2, 3].map(x, x * 2).filter(y, y > 2).exists_one(z, z == 4) && 7 % 2 == -1 + 2",
    "{'a': 1u, 'b': 0x1F}.all(k, k in ['a', \"b\"]) && duration('1h').getHours() == 1",
    "string(object.spec.replicas) + '-' + object.spec.version != b'x' && size('abc') == 3",
    "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.1.1') && url('https://a/b').getPort() == ''",
    "r'\\' == '''a''' || \"\"\"b\"\"\" == rb'\\x' // '\n || true",
];
const WORDS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "((((((((((((((((",
    "[[[[[[[[[[[[[[[[",
    "{1:{1:{1:{1:",
    "!!!!!!!!!!!!!!!!",
    "----------------",
    "?",
    ":",
    "true?true:",
    "&&",
    "||",
    "==",
    "in",
    "r'\\'",
    "r\"\\\"",
    "'''",
    "\"\"\"",
    "// '",
    "\n",
    ".map(x, x)",
    ".all(x, ",
    "has(",
    "object",
    "oldObject",
    "request.",
    "9223372036854775807",
    "-9223372036854775808",
    "0u",
    "1e308",
    "'\\u0000'",
    "b'\\xff'",
    ".size()",
    "duration(",
    "quantity(",
    "semver(",
    "int(",
    "double(",
    "string(",
    "a + a",
    "%",
    "/ 0",
    ".substring(-1)",
    ".charAt(99)",
    ".split('')",
    ".matches('(a*)*$')",
    "null",
    "dyn(",
    "timestamp(",
    "{'a': ",
    "[0]",
];

#[test]
fn expressions_get_an_answer_in_time() {
    fuzz::check!(fuzz::text(SEEDS, WORDS), |source: &str| {
        let started = std::time::Instant::now();
        let answer = eval(source);
        assert!(started.elapsed() < promised(), "{answer:?}");
    });
}
