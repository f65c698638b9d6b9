// Makes and checks the Grafana dashboards of deploy/helm/caseview/files/dashboards.
//
//	go run . write FOLDER   writes worker.json and api.json
//	go run . check FILE…    decodes each strictly, as the types of Grafana's Foundation SDK say, and validates it
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

var boards = map[string]board{"worker.json": worker, "api.json": api}

func write(folder string) error {
	for name, board := range boards {
		made, err := board.build()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		text, err := json.MarshalIndent(made, "", "  ")
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The SDK returns an empty list of errors for none.
func none(err error) bool {
	var list cog.BuildErrors
	return err == nil || (errors.As(err, &list) && len(list) == 0)
}

// Each panel is decoded on its own: the SDK's strict decoding of a whole dashboard loses its panels, and that of a panel
// does not look at the unknown fields of fieldConfig.
func checkPanel(raw json.RawMessage) error {
	var kind struct {
		Type, Title string
		FieldConfig json.RawMessage
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return err
	}
	if kind.Type == "row" {
		var row dashboard.RowPanel
		if err := row.UnmarshalJSONStrict(raw); !none(err) {
			return fmt.Errorf("row %q: %w", kind.Title, err)
		}
		return nil
	}
	if _, known := cog.NewRuntime().ConfigForPanelcfgVariant(kind.Type); !known {
		return fmt.Errorf("panel %q: its type %q is not checked", kind.Title, kind.Type)
	}
	var panel dashboard.Panel
	if err := panel.UnmarshalJSONStrict(raw); !none(err) {
		return fmt.Errorf("panel %q: %w", kind.Title, err)
	}
	if err := panel.Validate(); !none(err) {
		return fmt.Errorf("panel %q: %w", kind.Title, err)
	}
	var fields dashboard.FieldConfigSource
	if err := fields.UnmarshalJSONStrict(kind.FieldConfig); !none(err) {
		return fmt.Errorf("panel %q, fieldConfig: %w", kind.Title, err)
	}
	for _, target := range panel.Targets {
		if target.DataqueryType() != "prometheus" {
			return fmt.Errorf("panel %q: a query of the type %q", kind.Title, target.DataqueryType())
		}
	}
	return nil
}

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var whole dashboard.Dashboard
	if err := whole.UnmarshalJSONStrict(text); !none(err) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := whole.Validate(); !none(err) {
		return fmt.Errorf("%s: %w", path, err)
	}
	var parts struct{ Panels []json.RawMessage }
	if err := json.Unmarshal(text, &parts); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, raw := range parts.Panels {
		if err := checkPanel(raw); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// What the dashboards use; panels and queries of other types would not be decoded strictly.
func register() {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(table.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
}

func run(args []string) error {
	register()
	if len(args) == 2 && args[0] == "write" {
		return write(args[1])
	}
	if len(args) < 2 || args[0] != "check" {
		return fmt.Errorf("usage: write FOLDER, or check FILE…")
	}
	for _, path := range args[1:] {
		if err := check(path); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}
