{{- /* What pods are made of. */ -}}

{{- /* Variables of the connection to PostgreSQL. Takes {root, role}: owner, worker or reader. */ -}}
{{- define "caseview.databaseEnv" -}}
{{- $database := .root.Values.database -}}
{{- $role := index $database .role -}}
{{- if $role.key }}
- name: CASEVIEW_DATABASE
  valueFrom:
    secretKeyRef: {name: {{ $role.existingSecret }}, key: {{ $role.key | quote }}}
{{- else }}
- name: PGHOST
  value: {{ $role.host | default $database.host | quote }}
- name: PGPORT
  value: {{ $database.port | int64 | quote }}
- name: PGDATABASE
  value: {{ $database.name | quote }}
{{- if $role.usernameKey }}
- name: PGUSER
  valueFrom:
    secretKeyRef: {name: {{ $role.existingSecret }}, key: {{ $role.usernameKey | quote }}}
{{- end }}
{{- if $role.passwordKey }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef: {name: {{ $role.existingSecret }}, key: {{ $role.passwordKey | quote }}}
{{- end }}
{{- end }}
{{- with $database.sslMode }}
- name: PGSSLMODE
  value: {{ . | quote }}
{{- end }}
{{- if or $database.ca.secret $database.ca.configMap }}
- name: PGSSLROOTCERT
  value: /etc/caseview/database-ca/{{ $database.ca.key }}
{{- end }}
{{- if $role.certificateSecret }}
- name: PGSSLCERT
  value: /etc/caseview/database-certificate/tls.crt
- name: PGSSLKEY
  value: /etc/caseview/database-certificate/tls.key
{{- end }}
{{- end -}}

{{- /* Variables with the secrets of Kafka and of the schema registry. */ -}}
{{- define "caseview.sourceEnv" -}}
{{- with .Values.kafka.sasl }}
{{- if .mechanism }}
- name: CASEVIEW_KAFKA_SASL_USERNAME
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .usernameKey | quote }}}
- name: CASEVIEW_KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey | quote }}}
{{- end }}
{{- end }}
{{- with .Values.schemaRegistry }}
{{- if .existingSecret }}
- name: CASEVIEW_SCHEMA_REGISTRY
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{- /* A volume with one key of a Secret or ConfigMap, if one is named. Takes {name, from}. */ -}}
{{- define "caseview.fileVolume" -}}
{{- if .from.secret }}
- name: {{ .name }}
  secret:
    secretName: {{ .from.secret }}
    items: [{key: {{ .from.key | quote }}, path: {{ .from.key | quote }}}]
{{- else if .from.configMap }}
- name: {{ .name }}
  configMap:
    name: {{ .from.configMap }}
    items: [{key: {{ .from.key | quote }}, path: {{ .from.key | quote }}}]
{{- end }}
{{- end -}}

{{- /*
Volumes of a program. Takes {root, role, config, source, api}: the role in the database, the ConfigMap of its options or
"", and whether it reads Kafka or is the API.
*/ -}}
{{- define "caseview.volumes" -}}
{{- $values := .root.Values -}}
{{- with .config }}
- name: config
  configMap: {name: {{ . }}}
{{- end }}
{{- include "caseview.fileVolume" (dict "name" "database-ca" "from" $values.database.ca) }}
{{- with (index $values.database .role).certificateSecret }}
- name: database-certificate
  secret:
    secretName: {{ . }}
    defaultMode: 0440 # libpq refuses a key that all may read
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- if or .source .api }}
{{- include "caseview.fileVolume" (dict "name" "ca" "from" $values.ca) }}
{{- end }}
{{- if .source }}
{{- include "caseview.fileVolume" (dict "name" "kafka-ca" "from" $values.kafka.tls.ca) }}
{{- with $values.kafka.tls }}
{{- if .certificateSecret }}
- name: kafka-certificate
  secret:
    secretName: {{ .certificateSecret }}
    items:
      - {key: {{ .certificateKey | quote }}, path: {{ .certificateKey | quote }}}
      - {key: {{ .privateKeyKey | quote }}, path: {{ .privateKeyKey | quote }}}
{{- end }}
{{- end }}
{{- with $values.schemasConfigMap }}
- name: schemas
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
{{- if .api }}
{{- include "caseview.fileVolume" (dict "name" "jwks" "from" $values.api.jwks) }}
{{- include "caseview.fileVolume" (dict "name" "tls" "from" (dict "secret" $values.api.tls.existingSecret "key" $values.api.tls.key)) }}
{{- end }}
{{- end -}}

{{- /*
The spec of a pod with one program. Takes {root, rebuild, values, name, command, env, volumes, ports, probes, restartPolicy,
serviceAccountName, databaseCertificate, selector}: `values` are the component's, `selector` its selector labels; `env`,
`volumes`, `ports` and `selector` are YAML.
*/ -}}
{{- define "caseview.podSpec" -}}
{{- $values := .values -}}
{{- $volumes := .volumes | fromYamlArray -}}
{{- $context := deepCopy .root.Values.podSecurityContext -}}
{{- if .databaseCertificate -}}
{{- $context = merge $context (dict "fsGroup" 65532) -}}
{{- end -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ .serviceAccountName }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .restartPolicy }}
restartPolicy: {{ . }}
{{- end }}
{{- with $context }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | int64 }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" ($.selector | fromYaml))) | toYaml | nindent 4 }}
  {{- end }}
{{- end }}
{{- with $values.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .name }}
    image: {{ include "caseview.image" . | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: {{ toJson .command }}
    {{- with concat (.env | fromYamlArray) $values.extraEnv }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .ports }}
    ports:
      {{- . | nindent 6 }}
    {{- end }}
    {{- if .probes }}
    {{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" }}
    {{- with index $values $probe }}
    {{ $probe }}:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- end }}
    {{- end }}
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    {{- with .root.Values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if or $volumes $values.extraVolumeMounts }}
    volumeMounts:
      {{- range $volumes }}
      - {name: {{ .name }}, mountPath: /etc/caseview/{{ .name }}, readOnly: true}
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
  {{- with $values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with concat $volumes $values.extraVolumes }}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
