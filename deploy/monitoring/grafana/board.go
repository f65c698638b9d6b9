package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// What a dashboard shows, as short as it can be said; build() makes Grafana's model of it.
type board struct {
	uid, title, says string
	program          string // the label of caseview_build_info
	topics           bool   // has the variable topic
	rows             []row
}

type row struct {
	title  string
	panels []panel
}

type kind int

const (
	graph kind = iota // over the range of time
	now               // one number
	list              // a table of the present series
)

type panel struct {
	kind        kind
	title, says string
	unit        string
	width       uint32
	queries     []query
	limits      []limit // where the color changes, from green on
	stacked     bool
	upTo        float64 // end of the axis, 0: what the values need
}

// expr: {@…} is the place for the matchers of the variables, {@topic…} also of the variable topic.
type query struct{ expr, legend string }

type limit struct {
	from  float64
	color string
}

const (
	yellow = "yellow"
	red    = "red"
	green  = "green"
)

func of[T any](value T) *T { return &value }

var source = common.DataSourceRef{Type: of("prometheus"), Uid: of("${datasource}")}

func (q query) text() string {
	matchers := `namespace=~"$namespace",job=~"$job"`
	text := strings.ReplaceAll(q.expr, "{@topic", "{"+matchers+`,topic=~"$topic"`)
	return strings.ReplaceAll(text, "{@", "{"+matchers)
}

func (p panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: green}}
	for _, limit := range p.limits {
		steps = append(steps, dashboard.Threshold{Value: of(limit.from), Color: limit.color})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (p panel) targets() []cog.Builder[variants.Dataquery] {
	var targets []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		target := prometheus.NewDataqueryBuilder().Datasource(source).RefId(string(rune('A' + i))).
			Expr(q.text()).LegendFormat(q.legend)
		switch p.kind {
		case graph:
			target = target.Range()
		case now:
			target = target.Instant()
		case list:
			target = target.Instant().Format(prometheus.PromQueryFormatTable)
		}
		targets = append(targets, target)
	}
	return targets
}

func (p panel) graph(id uint32) cog.Builder[dashboard.Panel] {
	made := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Datasource(source).
		Unit(p.unit).Min(0).Span(p.width).Height(8).Targets(p.targets()).Thresholds(p.thresholds()).
		LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeTable).
			Placement(common.LegendPlacementBottom).Calcs([]string{"lastNotNull", "max"})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if len(p.limits) > 0 {
		made = made.ThresholdsStyle(
			common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.stacked {
		made = made.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).FillOpacity(50)
	}
	if p.upTo > 0 {
		made = made.Max(p.upTo)
	}
	return made
}

func (p panel) now(id uint32) cog.Builder[dashboard.Panel] {
	return stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Datasource(source).
		Unit(p.unit).Span(p.width).Height(4).Targets(p.targets()).Thresholds(p.thresholds()).
		ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeNone).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).NoValue("–")
}

func (p panel) list(id uint32) cog.Builder[dashboard.Panel] {
	hidden := map[string]any{"Time": true, "Value": true, "__name__": true, "endpoint": true, "service": true,
		"container": true, "prometheus": true}
	return table.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Datasource(source).
		Unit(p.unit).Span(p.width).Height(8).Targets(p.targets()).Thresholds(p.thresholds()).NoValue("none").
		Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{})).
		Transformations([]dashboard.DataTransformerConfig{
			{Id: "organize", Options: map[string]any{"excludeByName": hidden}},
		})
}

func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	switch p.kind {
	case now:
		return p.now(id)
	case list:
		return p.list(id)
	}
	return p.graph(id)
}

func variable(name, label, series string) cog.Builder[dashboard.VariableModel] {
	everything := dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source).
		Query(dashboard.StringOrMap{String: of("label_values(" + series + ", " + name + ")")}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".*"). // .* fits where there is no such label, too
		Current(dashboard.VariableOption{
			Selected: of(true),
			Text:     dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value:    everything,
		})
}

func (b board) build() (dashboard.Dashboard, error) {
	info := `caseview_build_info{program="` + b.program + `"`
	made := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Description(b.says).Tags([]string{"caseview"}).
		Editable().Tooltip(dashboard.DashboardCursorSyncCrosshair).Time("now-3h", "now").Refresh("30s").
		Timezone("browser").
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(variable("namespace", "Namespace", info+"}")).
		WithVariable(variable("job", "Job", info+`,namespace=~"$namespace"}`))
	if b.topics {
		made = made.WithVariable(variable("topic", "Topic",
			`caseview_partition_state{namespace=~"$namespace",job=~"$job"}`))
	}
	id := uint32(1)
	for _, r := range b.rows {
		made = made.WithRow(dashboard.NewRowBuilder(r.title).Id(id))
		id++
		for _, p := range r.panels {
			made = made.WithPanel(p.build(id))
			id++
		}
	}
	return made.Build()
}
