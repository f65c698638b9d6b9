{{- /* Names of objects, labels and the image. */ -}}

{{- define "caseview.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /*
Begins the name of every object, and always gets a suffix. At most 35 characters: a StatefulSet's name may have 52 (the
label controller-revision-hash adds 11, of 63), and the longest suffix is "-rebuild-g1000000". A Service's name has no dots
and begins with a letter. What does not fit is changed, and gets a hash of the whole name, so that releases whose names
are alike stay apart.
*/ -}}
{{- define "caseview.fullname" -}}
{{- $whole := .Values.fullnameOverride -}}
{{- if not $whole -}}
{{- $name := include "caseview.name" . -}}
{{- $whole = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- $full := $whole | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $full) -}}
{{- $full = printf "r%s" $full -}}
{{- end -}}
{{- if or (ne $full $whole) (gt (len $full) 35) -}}
{{- $full = printf "%s-%s" ($full | trunc 28 | trimSuffix "-") ($whole | sha256sum | trunc 6) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{- /* The labels that selectors use; they never change. Takes {root, component}. */ -}}
{{- define "caseview.selectorLabels" -}}
app.kubernetes.io/name: {{ include "caseview.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .generation }}
caseview/generation: {{ . | toString | quote }}
{{- end }}
{{- end -}}

{{- /* Labels of an object. Takes {root, component, generation, labels}. */ -}}
{{- define "caseview.labels" -}}
{{- $labels := include "caseview.selectorLabels" . | fromYaml -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $_ := set $labels "helm.sh/chart" $chart -}}
{{- $_ := set $labels "app.kubernetes.io/version" (.root.Chart.AppVersion | toString) -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "caseview" -}}
{{- merge $labels (.labels | default dict) .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- /* Labels of a pod: without the chart's version, so that a new chart alone restarts nothing. */ -}}
{{- define "caseview.podLabels" -}}
{{- $labels := include "caseview.selectorLabels" . | fromYaml -}}
{{- merge $labels (.labels | default dict) .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- /* `annotations:` of an object, when it has any. Takes {root, annotations, more}: `more` wins. */ -}}
{{- define "caseview.annotations" -}}
{{- $all := merge (dict) (.more | default dict) (.annotations | default dict) .root.Values.commonAnnotations -}}
{{- with $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Takes {root, rebuild}: whether it is for the generation that is being filled, which may have an image of its own. */ -}}
{{- define "caseview.image" -}}
{{- $image := .root.Values.image -}}
{{- $other := .root.Values.rebuild.image -}}
{{- if and .rebuild (or $other.repository $other.tag $other.digest) -}}
{{- $image = dict "repository" ($other.repository | default $image.repository) "tag" $other.tag "digest" $other.digest -}}
{{- end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "caseview.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (printf "%s-programs" (include "caseview.fullname" .)) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- /* The consumer group of a generation. Takes {root, generation}. */ -}}
{{- define "caseview.group" -}}
{{ .root.Values.kafka.groupPrefix }}-g{{ .generation }}
{{- end -}}

{{- /*
Values of the rebuild's workers: those of `worker`, and over them what `rebuild.worker` says. As YAML.
*/ -}}
{{- define "caseview.rebuildWorker" -}}
{{- mustMergeOverwrite (deepCopy .Values.worker) (deepCopy .Values.rebuild.worker) | toYaml -}}
{{- end -}}
