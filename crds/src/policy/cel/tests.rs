//! What CEL expressions answer, which are refused, and which are ended.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use super::{Compiler, Facts, Fault};

fn object() -> Value {
    json!({
        "metadata": {"name": "demo", "labels": {"team": "web", "example.com/tier": "gold"}},
        "spec": {
            "replicas": 3,
            "version": "v1.36.3",
            "service": {"type": "NodePort"},
            "mounts": [{"path": "/a"}, {"path": "/b", "hostPath": {"path": "/"}}],
            "flags": ["--debug", "--v=2"],
            "ratio": 0.5,
        },
    })
}

fn eval_with(source: &str, object: &Value) -> Result<bool, String> {
    let mut compiler = Compiler::default();
    let expression = compiler
        .compile(source)
        .map_err(|faults| format!("{faults:?}"))?;
    let request = json!({"operation": "CREATE", "userInfo": {"username": "jo", "groups": ["dev"]}});
    let namespace = json!({"metadata": {"name": "team-a", "labels": {"env": "prod"}}});
    let facts = Facts {
        object,
        old_object: &Value::Null,
        request: &request,
        namespace: &namespace,
    };
    compiler.finish().view(facts).holds(&expression)
}

/// What a decision may take: the promise, which a build without optimisation cannot keep.
pub(super) const fn promised() -> Duration {
    if cfg!(debug_assertions) {
        Duration::from_secs(2)
    } else {
        Duration::from_millis(50)
    }
}

pub(super) fn eval(source: &str) -> Result<bool, String> {
    eval_with(source, &object())
}

#[rstest]
#[case("object.spec.replicas == 3", true)]
#[case("object.spec.replicas > 3", false)]
#[case("object['spec']['replicas'] == 3", true)]
#[case("has(object.spec.persistence)", false)]
#[case(
    "has(object.spec.service.type) && object.spec.service.type == 'NodePort'",
    true
)]
#[case(
    "!has(object.spec.persistence) || object.spec.persistence.type != 'hostPath'",
    true
)]
#[case("oldObject == null", true)]
#[case(
    "oldObject == null || oldObject.spec.replicas <= object.spec.replicas",
    true
)]
#[case(
    "object.metadata.labels['example.com/tier'] in ['gold', 'silver']",
    true
)]
#[case("object.spec.mounts.all(m, !has(m.hostPath))", false)]
#[case(
    "object.spec.mounts.exists(m, has(m.hostPath) && m.hostPath.path == '/')",
    true
)]
#[case("object.spec.mounts.filter(m, has(m.hostPath)).size() == 1", true)]
#[case("object.spec.flags.map(f, f + '!').exists(f, f == '--debug!')", true)]
#[case("object.spec.flags.exists_one(f, f.startsWith('--v='))", true)]
#[case("object.spec.mounts[1].path == '/b'", true)]
#[case("object.spec.version.matches('^v1[.]3[56][.]')", true)]
#[case("quantity('1Gi').isGreaterThan(quantity('500Mi'))", true)]
#[case(
    "semver(object.spec.version.substring(1)).isLessThan(semver('1.37.0'))",
    true
)]
#[case("request.userInfo.groups.exists(g, g == 'dev')", true)]
#[case(
    "namespace.metadata.labels.env == 'prod' ? object.spec.replicas >= 3 : true",
    true
)]
#[case("object.spec.ratio < 1.0", true)]
#[case("size(object.metadata.labels) == 2", true)]
#[case("[1, 2].map(object, object + 1) == [2, 3]", true)]
#[case("object.metadata.labels.all(key, key != '')", true)]
#[case(
    "object.spec.mounts.filter(m, m.path == '/b')[0].hostPath.path == '/'",
    true
)]
#[case(
    "object.spec.mounts.all(m, object.spec.mounts.exists(n, n == m && n.path == m.path))",
    true
)]
#[case(
    "object.spec.mounts.exists(m, has(m.hostPath) && [m].exists(m, m.path == '/b'))",
    true
)]
#[case("object.spec.mounts.map(m, {'p': m.path})[1].p == '/b'", true)]
#[case("object.spec.mounts.exists(m, m['path'] == '/b')", true)]
#[case("object.spec.flags.all(f, f.startsWith('--'))", true)]
fn expressions_have_the_answer_that_the_api_server_gives(
    #[case] source: &str,
    #[case] answer: bool,
) {
    assert_eq!(eval(source), Ok(answer));
}

#[rstest]
#[case("object.spec.nothing == 1", "no such field: object.spec.nothing")]
#[case("object.spec.replicas.x == 1", "no such field: object.spec.replicas.x")]
#[case(
    "oldObject.spec.replicas == 3",
    "no such field: oldObject.spec.replicas"
)]
#[case("object.spec.replicas", "must evaluate to bool, not int")]
#[case("object.spec.replicas / 0 == 1", "Division by zero of Int(3)")]
#[case("object.spec.flags[7] == ''", "Index out of bounds: Int(7)")]
fn an_expression_without_an_answer_says_why(#[case] source: &str, #[case] error: &str) {
    assert_eq!(eval(source), Err(error.to_owned()));
}

fn faults(source: &str) -> Vec<Fault> {
    Compiler::default().compile(source).unwrap_err()
}

#[rstest]
#[case("object.spec.replicas >", "line 1, column 23: ")]
#[case("object.spec\n  .replicas = 3", "line 2, column 13: ")]
#[case("has(object)", "line 1, column 5: invalid argument to has() macro")]
#[case("self.replicas == 3", "line 1, column 1: unknown variable \"self\"")]
#[case(
    "'self' == object.a &&\n self.b",
    "line 2, column 2: unknown variable \"self\""
)]
#[case(
    "object.x.replace('a', 'b') == ''",
    "line 1, column 10: unknown function \"replace\""
)]
#[case(
    "object.a.matches('[')",
    "line 1, column 10: invalid regular expression"
)]
#[case(
    "object.a.matches(object.b)",
    "line 1, column 10: the pattern of matches() must be a string literal"
)]
#[case("Foo{a: 1} == 1", "line 1, column 1: message types are not supported")]
#[case(
    "[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))",
    "line 1, column 42: loops are nested more than 3 deep"
)]
#[case("", "line 1, column 1: ")]
fn a_fault_has_its_position(#[case] source: &str, #[case] start: &str) {
    let text = faults(source)[0].to_string();
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn every_fault_is_found_at_once() {
    assert_eq!(faults("foo == 1 && bar(2) == 2 && self.x").len(), 3);
}

#[rstest]
#[case::length(format!("{} == 1", "1 + ".repeat(300) + "1"))]
#[case::brackets(format!("{}1{} == 1", "(".repeat(200), ")".repeat(200)))]
#[case::lists(format!("{}{}", "[".repeat(300), "]".repeat(300)))]
#[case::sums(format!("{}1 == 1", "1+".repeat(500)))]
#[case::members(format!("object{}", ".a".repeat(500)))]
#[case::calls(format!("object.a{}", ".trim()".repeat(140)))]
#[case::negations(format!("{}true", "!".repeat(1000)))]
#[case::minuses(format!("{}1 == 1", "-".repeat(1000)))]
#[case::conditions(format!("{}true", "true?true:".repeat(100)))]
#[case::ands(format!("{}true", "true&&".repeat(170)))]
#[case::indexes(format!("object.a{}", "[0]".repeat(330)))]
fn extreme_expressions_end_neither_the_program_nor_its_stack(#[case] source: String) {
    let started = Instant::now();
    let answer = eval(&source);
    let took = started.elapsed();
    println!("{took:?}: {answer:?}");
    assert!(took < promised(), "{answer:?}");
}

/// Texts that double with every call, and loops over large lists: what could take all memory or
/// time without limits.
#[rstest]
#[case(
    "object.l.all(a, object.l.all(b, object.l.all(c, a + b + c > 0)))",
    "it costs more than"
)]
#[case("object.l.all(a, object.l.size() > 0)", "it costs more than")]
#[case("object.l.map(a, object.l.map(b, a)).size() > 0", "it costs more than")]
#[case(
    "object.l.map(a, a).map(a, a).map(a, a).map(a, a).size() > 0",
    "it costs more than"
)]
#[case(
    "[object].all(m, object.l.all(i, m.l.size() + m.l.size() + m.l.size() + m.l.size() + m.l.size() + m.l.size() > 0))",
    "it costs more than"
)]
#[case(
    "[object].map(a,[a,a,a,a,a,a]).map(a,[a,a,a,a,a,a]).map(a,[a,a,a,a,a,a]).map(a,[a,a,a,a,a,a]).map(a,[a,a,a,a,a,a]).map(a,[a,a,a,a,a,a]).map(a,[a,a,a,a,a,a]) == []",
    "Error executing function 'a value that it makes'"
)]
#[case(
    "[object.l].map(a,{'a':a,'b':a,'c':a}).map(a,{'a':a,'b':a,'c':a}).map(a,{'a':a,'b':a,'c':a}).map(a,{'a':a,'b':a,'c':a}).map(a,{'a':a,'b':a,'c':a}).map(a,{'a':a,'b':a,'c':a}) == []",
    "Error executing function 'a value that it makes'"
)]
#[case(
    "object.l.all(a, object.l.all(b, a + b > 0)) || true",
    "it costs more than"
)]
#[case(
    "[object.t].map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).size() == 1",
    "Error executing function 'a value that it makes'"
)]
#[case(
    "[[1]].map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).map(x, x+x+x+x+x+x+x+x).size() == 1",
    "Error executing function 'a value that it makes'"
)]
fn what_is_too_much_is_ended(#[case] source: &str, #[case] wanted: &str) {
    let list: Vec<u32> = (1..1000).collect();
    let object = json!({"l": list, "t": "x".repeat(1000)});
    let started = Instant::now();
    let error = eval_with(source, &object).unwrap_err();
    let took = started.elapsed();
    println!("{took:?}: {error}");
    assert!(
        error.starts_with(wanted) || error.starts_with("it takes longer"),
        "{error}"
    );
    assert!(took < promised(), "{took:?}");
}

#[test]
fn a_large_object_is_answered_when_only_a_part_of_it_is_looked_at() {
    let flags: Vec<String> = (0..20_000).map(|n| format!("--flag-{n}")).collect();
    let object = json!({"spec": {"replicas": 1, "flags": flags}});
    assert_eq!(eval_with("object.spec.replicas == 1", &object), Ok(true));
    assert_eq!(eval_with("has(object.spec.flags)", &object), Ok(true));
}

#[test]
fn a_stall_of_the_machine_refuses_nothing_that_is_cheap() {
    let mut compiler = Compiler::default();
    let expression = compiler.compile("object.spec.replicas == 3").unwrap();
    let object = object();
    let facts = Facts {
        object: &object,
        old_object: &Value::Null,
        request: &Value::Null,
        namespace: &Value::Null,
    };
    let engine = compiler.finish();
    let mut view = engine.view(facts);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(view.holds(&expression), Ok(true));
}
