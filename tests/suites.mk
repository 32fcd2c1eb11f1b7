# Suites beside each other, for `make test` and its parts: each is a target.
.PHONY: $(MAKECMDGOALS)
$(MAKECMDGOALS):
	@echo "== $@"
	@$(TEST) --test $@ $(if $(filter harness,$@),-- --test-threads=1)
