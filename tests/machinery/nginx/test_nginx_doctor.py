"""`python -m app.forge.doctor` behind Nginx: each fault of its program and its configuration is found."""

from pathlib import Path

from tests.machinery.doctor import Patient

AXES: tuple[str, ...] = ()


def test_an_nginx_that_is_not_installed_is_found(patient: Patient) -> None:
    patient.variables["NGINX_PATH"] = "/nonexistent/nginx"
    assert "'/nonexistent/nginx' is not on PATH." in patient.examine().problem("server.nginx_missing")


def test_a_program_that_is_not_nginx_is_found(patient: Patient) -> None:
    patient.variables["NGINX_PATH"] = "false"
    assert "cannot be run" in patient.examine().problem("server.nginx_missing")


def test_a_configuration_that_nginx_refuses_is_found_with_its_reason(patient: Patient) -> None:
    patient.edit("deploy/nginx/nginx.conf", "daemon off;", "daemon off;\nnonsense on;")
    problem = patient.examine().problem("server.nginx_configuration")
    assert 'unknown directive "nonsense"' in problem


def test_a_redirect_without_https_is_a_contradiction(patient: Patient) -> None:
    patient.variables["HTTP_PORT"] = "8081"
    assert "also needs TLS_CERTIFICATE" in patient.examine().problem("settings.contradiction")


def test_all_contradictions_and_invalid_settings_are_found_at_once(patient: Patient) -> None:
    patient.variables |= {"HTTP_PORT": "8000", "PORT": "8000", "TLS_CERTIFICATE": "c.pem", "LOG_LEVEL": "x"}
    found = [each["check"] for each in patient.examine().document["findings"]]
    assert found.count("settings.contradiction") == 2
    assert found.count("settings.invalid") == 1


def test_a_contradiction_with_an_invalid_setting_is_not_reported(patient: Patient) -> None:
    # PORT has its default, 8000, instead.
    patient.variables |= {"HTTP_PORT": "8000", "PORT": "x", "TLS_CERTIFICATE": "c.pem"}
    found = [each["problem"] for each in patient.examine().document["findings"]]
    assert not [problem for problem in found if problem.startswith("HTTP_PORT and PORT")]


def test_a_certificate_that_cannot_be_read_is_found(patient: Patient) -> None:
    patient.variables |= {"TLS_CERTIFICATE": "none.pem", "TLS_CERTIFICATE_KEY": "none.pem"}
    problem = patient.examine().problem("certificate.unusable")
    assert problem == "TLS_CERTIFICATE=none.pem cannot be read (No such file or directory)."


def test_a_directory_whose_sockets_have_too_long_paths_is_found(patient: Patient, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    patient.variables["TMPDIR"] = str(long)
    assert "over 107 bytes" in patient.examine().problem("server.socket_path")
