{{- /* The workers' StatefulSet, configuration, headless Service and PodDisruptionBudget; likewise those of a rebuild. */ -}}

{{- /*
Takes {root, values, name, component, generation, selectorGeneration, configName, bulkRate}: `name` of the objects;
`selectorGeneration` only for a rebuild, whose Jobs have the same component.
*/ -}}
{{- define "caseview.workers" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $name := .name -}}
{{- $config := include "caseview.workerConfig" (dict "root" $root "name" .configName "config" $values.config "bulkRate" .bulkRate) -}}
{{- $selector := include "caseview.selectorLabels" (dict "root" $root "component" .component "generation" .selectorGeneration) -}}
{{- $object := dict "root" $root "component" .component "generation" .selectorGeneration -}}
{{- $volumes := include "caseview.volumes" (dict "root" $root "role" "worker" "config" $name "source" true "api" false) -}}
{{- $kafka := $root.Values.kafka -}}
{{- $outside := include "caseview.outsideChecksum" (dict "root" $root
    "secrets" (list $root.Values.database.worker.existingSecret $root.Values.schemaRegistry.existingSecret
        $kafka.sasl.existingSecret $kafka.tls.ca.secret $kafka.tls.certificateSecret)
    "configMaps" (list $kafka.tls.ca.configMap $root.Values.schemasConfigMap)) -}}
{{- $serviceLabels := merge (dict "caseview/port" "metrics") $values.service.labels -}}
{{- $pod := dict "root" $root "component" .component "generation" .generation "labels" $values.podLabels -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "caseview.labels" $object | nindent 4 }}
  {{- include "caseview.annotations" (dict "root" $root) | nindent 2 }}
data:
  caseview.conf: |
    {{- $config | nindent 4 }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "caseview.labels" (merge (dict "labels" $serviceLabels) $object) | nindent 4 }}
  {{- include "caseview.annotations" (dict "root" $root "annotations" $values.service.annotations) | nindent 2 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true # a worker that is not ready has metrics, too
  {{- include "caseview.ipFamilies" $root | nindent 2 }}
  selector:
    {{- $selector | nindent 4 }}
  ports:
    - {name: metrics, port: 9464, targetPort: admin, protocol: TCP}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "caseview.labels" (merge (dict "labels" $values.labels) $object) | nindent 4 }}
  {{- include "caseview.annotations" (dict "root" $root "annotations" $values.annotations) | nindent 2 }}
spec:
  serviceName: {{ $name }}
  podManagementPolicy: Parallel # OrderedReady would wait for a broken pod before it replaces it
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas | int64 }}
  {{- end }}
  minReadySeconds: {{ $values.minReadySeconds | int64 }}
  revisionHistoryLimit: {{ $values.revisionHistoryLimit | int64 }}
  updateStrategy:
    {{- toYaml $values.updateStrategy | nindent 4 }}
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "caseview.podLabels" $pod | nindent 8 }}
      annotations:
        kubectl.kubernetes.io/default-container: worker
        checksum/config: {{ $config | sha256sum }}
        {{- with $outside }}
        checksum/outside: {{ . }}
        {{- end }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "caseview.podSpec" (dict "root" $root "rebuild" (eq .component "rebuild") "values" $values "name" "worker"
          "command" (list "/usr/bin/caseview" "worker")
          "env" (include "caseview.workerEnv" .)
          "volumes" $volumes
          "ports" "- {name: admin, containerPort: 9464, protocol: TCP}"
          "probes" true
          "databaseCertificate" $root.Values.database.worker.certificateSecret
          "serviceAccountName" (include "caseview.serviceAccountName" $root)
          "selector" $selector) | nindent 6 }}
{{- if $values.pdb.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "caseview.labels" $object | nindent 4 }}
  {{- include "caseview.annotations" (dict "root" $root) | nindent 2 }}
spec:
  maxUnavailable: {{ $values.pdb.maxUnavailable }}
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "caseview.workerEnv" -}}
- name: CASEVIEW_CONFIG
  value: /etc/caseview/config/caseview.conf
- name: CASEVIEW_GENERATION
  value: {{ .generation | int64 | quote }}
- name: CASEVIEW_GROUP_ID
  value: {{ include "caseview.group" (dict "root" .root "generation" (.generation | int64)) | quote }}
- name: CASEVIEW_ADMIN_LISTEN
  value: {{ printf "%s:9464" .root.Values.network.listenHost | quote }}
{{- if .values.staticMembership }}
- name: CASEVIEW_GROUP_INSTANCE_ID
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
{{- if .values.leaveGroup }}
- name: CASEVIEW_LEAVE_GROUP
  value: "on"
{{- end }}
{{- end }}
{{- include "caseview.databaseEnv" (dict "root" .root "role" "worker") }}
{{- include "caseview.sourceEnv" .root }}
{{- end -}}

{{- define "caseview.ipFamilies" -}}
{{- with .Values.network.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.network.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end -}}
