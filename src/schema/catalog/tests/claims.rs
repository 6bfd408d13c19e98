//! Who gets a path that several want.

use super::*;

#[test]
fn two_upstreams_with_one_path_need_a_primary() {
    let build = |one: bool, two: bool| {
        let specs = [
            UpstreamSpec { primary: one, ..custom("one", "") },
            UpstreamSpec { primary: two, ..custom("two", "") },
        ];
        build(things(), &specs)
    };
    for (one, two) in [(false, false), (true, true)] {
        let problems = print(&build(one, two).routes(|method, _| method).unwrap_err());
        assert_eq!(problems.lines().count(), 1, "{problems}");
        for words in ["upstreams.one and upstreams.two", "GET /v1/boxes/*/things", "primary = true", "/one/…"]
        {
            assert!(problems.contains(words), "{words:?} is not in\n{problems}");
        }
    }
    let catalog = build(false, true);
    let table = catalog.routes(|method, _| &*catalog.methods[method].upstream).unwrap();
    let target = |path: &str| *table.find("GET", path).unwrap().target;
    assert_eq!(target("/v1/boxes/b/things"), "two");
    assert_eq!(target("/one/v1/boxes/b/things"), "one");
    assert_eq!(target("/two/v1/boxes/b/things"), "two");
}

#[test]
fn an_upstream_without_a_section_gives_way() {
    let specs = [UpstreamSpec { configured: false, primary: true, ..custom("zero", "") }, custom("one", "")];
    let catalog = build(things(), &specs);
    let table = catalog.routes(|method, _| &*catalog.methods[method].upstream).unwrap();
    let target = |path: &str| *table.find("GET", path).unwrap().target;
    assert_eq!(target("/v1/boxes/b/things"), "one");
    assert_eq!(target("/zero/v1/boxes/b/things"), "zero");
    let idle = build(things(), &specs[..1]);
    assert!(routes(&idle).find("GET", "/v1/boxes/b/things").is_ok());
}

#[test]
fn two_methods_of_one_upstream_cannot_share_a_path() {
    let yaml =
        "http: { rules: [{ selector: pkg.Service.GetThing, get: '/v1/{thing.name=boxes/*}/things' }] }";
    let problems = print(&build(things(), &[custom("boxes", yaml)]).routes(|_, _| ()).unwrap_err());
    assert_eq!(problems.lines().count(), 1, "{problems}");
    for words in ["pkg.Service.ListThings and pkg.Service.GetThing", "GET /v1/boxes/*/things"] {
        assert!(problems.contains(words), "{words:?} is not in\n{problems}");
    }
}

#[test]
fn own_endpoints_meet_the_proxied_ones_in_the_table() {
    let catalog = builtins();
    let mut table = routes(&catalog);
    let own = |template: &str| template.parse().unwrap();
    assert!(table.insert("GET", &own("/v1/{name=projects/*}:overview"), (0, 0)).is_ok());
    assert!(table.insert("GET", &own("/v1/projects/{project}/locations"), (0, 0)).is_err());
}

#[test]
fn a_key_that_cannot_be_in_a_path_is_refused() {
    let problems = print(&build(things(), &[custom("a/b", "")]).routes(|_, _| ()).unwrap_err());
    assert!(problems.contains("cannot be served under /a/b"), "{problems}");
}
