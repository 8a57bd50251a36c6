# Berth's habits. Each target is a script of its own under scripts/, which says what it does and what it needs.
.PHONY: build test test-vm check bench fmt run install clean help
.DEFAULT_GOAL := help

build: ## build the four programs, fully static, into bin/
	@scripts/build

run: ## from nothing to a first container: install, build, start the daemon, run busybox
	@scripts/run

test: ## every test on this machine, as root
	@scripts/test

test-vm: ## the runtime and engine tests on cgroup v2 alone, in a virtual machine
	@scripts/test-vm

check: ## floors, links, formatting, warnings, unargued escapes
	@scripts/check

bench: ## Berth beside docker, podman and crun, as ratios
	@bench/run

fmt: ## format the sources
	@swift format -i --parallel --recursive Sources Tests Package.swift

install: ## put the programs, completions and man pages under PREFIX (/usr/local)
	@scripts/install

clean: ## remove what building made
	@rm -rf .build bin

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile
