// Modules of which only files are read: the definitions of custom resources.
module caseview/tests/static/definitions

go 1.26.0

require (
	github.com/kedacore/keda/v2 v2.21.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
