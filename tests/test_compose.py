"""The compose files say what the code reads: settings, commands, ports, health paths, versions; and what runs in them is held in."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml
from flask import Flask

from hybrid_search import __version__
from hybrid_search.api.app import BLUEPRINTS
from hybrid_search.bootstrap import server_access
from hybrid_search.cli.main import app
from hybrid_search.engines.cluster.reaching import access
from hybrid_search.search_server.products import release
from hybrid_search.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
FILES = ("docker-compose.yml", "docker-compose.embedded.yml")
SECRETS = re.compile(r"\$\{(\w+):\?[^}]+\}")
ANY_VARIABLE = re.compile(r"\$\{(\w+)")
DEPLOY = ROOT / "deploy" / "opensearch"


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return content


FULL, SMALL = (read(name)["services"] for name in FILES)
SERVICES = [(name, service, body) for name in FILES for service, body in read(name)["services"].items()]
OWN = [(name, service, body) for name, service, body in SERVICES if str(body["image"]).startswith("hybrid-search:")]
COMMANDS = [(name, service, body) for name, service, body in OWN if "entrypoint" not in body]
KNOWN = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {"OMP_NUM_THREADS"}


def filled(value: str) -> str:
    """With a value in the place of every variable."""
    return re.sub(r"\$\{(\w+)[^}]*\}", r"a-long-\1-value", value)


def ids(case: Any) -> str | None:
    return case if isinstance(case, str) else ""


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_compose_file(name: str) -> None:
    schema = importlib.resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    jsonschema.validate(read(name), json.loads(schema.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", FILES)
def test_docker_reads_it(name: str) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker client with compose here; the schema and the tests below stand in")
    secrets = {variable: "x" * 40 for variable in SECRETS.findall((ROOT / name).read_text(encoding="utf-8"))}
    done = subprocess.run(
        [docker, "compose", "-f", name, "config", "-q"], cwd=ROOT, env=os.environ | secrets, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "service", "body"), COMMANDS, ids=ids)
def test_every_variable_is_a_setting_that_takes_the_value(name: str, service: str, body: dict[str, Any]) -> None:
    given = body["environment"]
    assert set(given) <= KNOWN
    values = {key.removeprefix(PREFIX).lower(): filled(value) for key, value in given.items() if key.startswith(PREFIX)}
    if "api_keys" in values:
        values["api_keys"] = json.loads(values["api_keys"])
    settings = Settings.model_validate(values)
    assert settings.log_format == "json"
    assert settings.engine == ("opensearch" if name == FILES[0] else "embedded")


@pytest.mark.parametrize(("name", "service", "body"), COMMANDS, ids=ids)
def test_every_command_and_option_exists(name: str, service: str, body: dict[str, Any]) -> None:
    command, *options = body["command"]
    root: Any = typer.main.get_command(app)
    assert command in root.commands
    known = {option for parameter in root.commands[command].params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known


@pytest.mark.parametrize(("name", "service", "body"), SERVICES, ids=ids)
def test_what_runs_is_held_in(name: str, service: str, body: dict[str, Any]) -> None:
    assert body["cap_drop"] == ["ALL"]
    assert body["security_opt"] == ["no-new-privileges:true"]
    assert body["mem_limit"]
    assert body["logging"]["options"]["max-size"]
    assert "healthcheck" in body
    once = service in ("opensearch-setup", "ingest", "doctor")
    assert body["restart"] == ("no" if once else "unless-stopped")
    assert all(port.startswith("127.0.0.1:") for port in body.get("ports", []))
    if not str(body["image"]).startswith("opensearchproject/"):  # those write beside their programs
        assert body["read_only"] is True
    if service != "opensearch-setup":
        assert body.get("user", "its image's") not in ("root", "0", "0:0") and "cap_add" not in body


@pytest.mark.parametrize(("name", "service", "body"), SERVICES, ids=ids)
def test_volumes_networks_and_dependencies_are_there(name: str, service: str, body: dict[str, Any]) -> None:
    whole = read(name)
    for mount in body.get("volumes", []):
        source = mount.split(":")[0]
        assert source in whole["volumes"] or source == "./catalogue" or (ROOT / source).exists()
    assert set(body.get("networks", [])) <= set(whole.get("networks", {}))
    for needed, how in body.get("depends_on", {}).items():
        condition = how["condition"]
        assert condition == ("service_completed_successfully" if needed == "opensearch-setup" else "service_healthy")
        assert condition != "service_healthy" or "test" in whole["services"][needed]["healthcheck"]


@pytest.mark.parametrize("name", FILES)
def test_no_secret_has_a_default(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    secrets = {variable for variable in ANY_VARIABLE.findall(text) if re.search(r"PASSWORD|KEY", variable)}
    assert secrets == set(SECRETS.findall(text))
    for _, body in ((service, body) for file, service, body in SERVICES if file == name):
        for key, value in body.get("environment", {}).items():
            if re.search(r"PASSWORD|_KEY", key):
                assert "${" in value


def test_the_top_of_the_file_names_every_secret() -> None:
    text = (ROOT / FILES[0]).read_text(encoding="utf-8")
    made = re.search(r"for name in (.*?); do", text, re.S)
    assert made
    assert set(re.findall(r"[A-Z_]{5,}", made[1])) == set(SECRETS.findall(text))
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


@pytest.mark.parametrize(("name", "services"), [(FILES[0], FULL), (FILES[1], SMALL)], ids=ids)
def test_the_api_is_asked_on_its_own_port_and_path(name: str, services: dict[str, Any]) -> None:
    api = services["api"]
    port = api["environment"]["HYBRID_SEARCH_PORT"]
    assert api["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}/readyz" in " ".join(api["healthcheck"]["test"])
    bare = Flask("hybrid_search.api")
    for blueprint in BLUEPRINTS:
        bare.register_blueprint(blueprint)
    assert "/readyz" in {rule.rule for rule in bare.url_map.iter_rules()}


def test_workers_can_be_many_and_are_asked_for_their_own_metrics() -> None:
    worker = FULL["worker"]
    assert "--beat" not in worker["command"]
    assert FULL["beat"]["command"] == ["beat"]
    port = worker["environment"]["HYBRID_SEARCH_WORKER_METRICS_PORT"]
    assert f"http://127.0.0.1:{port}/metrics" in " ".join(worker["healthcheck"]["test"])
    (published,) = worker["ports"]
    assert published == f"127.0.0.1:{port}-{int(port) + 9}:{port}"


@pytest.mark.parametrize(("name", "services"), [(FILES[0], FULL), (FILES[1], SMALL)], ids=ids)
def test_the_broker_keeps_what_it_is_given(name: str, services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    megabytes = int(command[command.index("--maxmemory") + 1].removesuffix("mb"))
    assert megabytes < int(services["redis"]["mem_limit"].removesuffix("m"))


def test_images_have_the_tested_versions() -> None:
    assert {body["image"] for _, _, body in OWN} == {f"hybrid-search:{__version__}"}
    assert FULL["opensearch"]["image"] == f"opensearchproject/opensearch:{release('opensearch').version}"
    assert FULL["dashboards"]["image"] == f"opensearchproject/opensearch-dashboards:{release('opensearch').version}"
    assert all(":" in body["image"] and not body["image"].endswith(":latest") for _, _, body in SERVICES)


def test_our_processes_and_dashboards_check_the_certificate_of_the_server() -> None:
    node = FULL["opensearch"]
    environment = FULL["api"]["environment"]
    settings = Settings.model_validate(
        {key.removeprefix(PREFIX).lower(): filled(v) for key, v in environment.items() if "API_KEYS" not in key and PREFIX in key}
    )
    reached = server_access(settings)
    assert reached["verify"] is True and str(reached["ca"]) == "/ca/ca.pem" and "ca:/ca:ro" in FULL["api"]["volumes"]
    address = access("opensearch", settings.opensearch_url).addresses[0]
    assert (address.scheme, address.host) == ("https", "opensearch")
    assert node["environment"]["plugins.security.ssl.http.enabled"] == "true"
    assert node["environment"]["DISABLE_INSTALL_DEMO_CONFIG"] == "true"
    dashboards = yaml.safe_load((DEPLOY / "dashboards.yml").read_text(encoding="utf-8"))
    assert dashboards["opensearch.hosts"] == [settings.opensearch_url]
    assert (dashboards["opensearch.ssl.verificationMode"], dashboards["opensearch.ssl.certificateAuthorities"]) == ("full", ["/ca/ca.pem"])
    asked = set(ANY_VARIABLE.findall((DEPLOY / "dashboards.yml").read_text(encoding="utf-8"))) - {"NAME"}
    assert asked == set(FULL["dashboards"]["environment"])


def test_the_server_and_the_broker_are_not_reachable_from_outside() -> None:
    assert read(FILES[0])["networks"]["backend"]["internal"] is True
    for service in ("opensearch", "redis"):
        assert FULL[service]["networks"] == ["backend"] and "ports" not in FULL[service]


def test_roles_are_for_our_indices_and_mapped_to_our_user() -> None:
    roles, mapping = (
        yaml.safe_load((DEPLOY / "security" / f"{name}.yml").read_text(encoding="utf-8")) for name in ("roles", "roles_mapping")
    )
    assert mapping["hybrid_search"]["users"] == [FULL["api"]["environment"]["HYBRID_SEARCH_SERVER_USER"]]
    prefix = Settings.model_fields["index_prefix"].default
    patterns = {pattern for one in roles["hybrid_search"]["index_permissions"] for pattern in one["index_patterns"] if pattern != "*"}
    assert patterns == {f"{prefix}-*"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``prepare.sh`` makes, run twice: a restart keeps certificates."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "security").mkdir()
    (folder / "ca").mkdir()
    assert prepare(folder).returncode == 0
    first = (folder / "security/certificates/node.pem").read_bytes()
    assert prepare(folder).returncode == 0
    assert (folder / "security/certificates/node.pem").read_bytes() == first
    return folder


def prepare(folder: Path, password: str = 'an-admin\'s "$password"') -> subprocess.CompletedProcess[str]:
    setup = FULL["opensearch-setup"]["environment"]
    given = {key: "a-long-password" for key in setup if "PASSWORD" in key} | {"OPENSEARCH_INITIAL_ADMIN_PASSWORD": password}
    folders = {"SECURITY_FOLDER": str(folder / "security"), "CA_FOLDER": str(folder / "ca"), "OPENSEARCH_UID": str(os.getuid())}
    return subprocess.run(
        ["sh", DEPLOY / "prepare.sh"], env={"PATH": os.environ["PATH"], **given, **folders}, capture_output=True, text=True
    )


def test_certificates_are_of_our_authority_and_for_the_servers_name(prepared: Path) -> None:
    made = prepared / "security/certificates"
    names: Any = ssl._ssl._test_decode_cert(str(made / "node.pem"))  # type: ignore[attr-defined]
    assert ("DNS", "opensearch") in names["subjectAltName"] and ("DNS", "localhost") in names["subjectAltName"]
    for name in ("node", "admin"):
        subject: Any = ssl._ssl._test_decode_cert(str(made / f"{name}.pem"))["subject"]  # type: ignore[attr-defined]
        assert subject == ((("commonName", f"hybrid-search-{name}"),),)
        checked = subprocess.run(["openssl", "verify", "-CAfile", prepared / "ca/ca.pem", made / f"{name}.pem"], capture_output=True)
        assert checked.returncode == 0
        assert (made / f"{name}-key.pem").stat().st_mode & 0o077 == 0
    node = FULL["opensearch"]["environment"]
    assert node["plugins.security.authcz.admin_dn"] == "CN=hybrid-search-admin"
    assert node["plugins.security.nodes_dn"] == "CN=hybrid-search-node"
    for key, value in node.items():
        if key.endswith("_filepath"):
            assert (prepared / "security" / value.removeprefix("hybrid-search/")).is_file()
    assert (prepared / "ca/ca.pem").stat().st_mode & 0o777 == 0o644


def test_users_have_the_given_passwords_and_no_others_exist(prepared: Path) -> None:
    users = yaml.safe_load((prepared / "security/internal_users.yml").read_text(encoding="utf-8"))
    assert set(users) == {"_meta", "admin", "hybrid-search", "kibanaserver"}
    check = "exit(crypt($ENV{PASSWORD}, $ENV{HASH}) ne $ENV{HASH})"
    for name, password in (("admin", 'an-admin\'s "$password"'), ("hybrid-search", "a-long-password"), ("kibanaserver", "a-long-password")):
        hashed = users[name]["hash"]
        assert hashed.startswith("$2y$12$") and len(hashed) == 60
        for tried, fits in ((password, 0), (name, 1)):
            assert subprocess.run(["perl", "-e", check], env={**os.environ, "PASSWORD": tried, "HASH": hashed}).returncode == fits
    assert {path.name for path in (DEPLOY / "security").iterdir()} < {path.name for path in (prepared / "security").iterdir()}


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / "security").mkdir()
    (tmp_path / "ca").mkdir()
    done = prepare(tmp_path, password="admin")
    assert done.returncode == 2
    assert "admin has fewer than 12 characters" in done.stderr
