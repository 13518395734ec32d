{{- define "sharq.name" -}}
{{- printf "%s" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sharq.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* Call with (dict "root" $ "component" "router"). */}}
{{- define "sharq.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "sharq.labels" -}}
{{ include "sharq.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "sharq.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sharq.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What the pods of a component have alike, up to their containers. Call with (dict "root" $ "component" "router" "own" .Values.routers). */}}
{{- define "sharq.podHead" -}}
serviceAccountName: {{ include "sharq.name" .root }}
automountServiceAccountToken: false
# The variables that Kubernetes makes for services begin as the settings do.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .own.terminationGracePeriodSeconds }}
securityContext:
  {{- include "sharq.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "sharq.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* http or https: what the port of a component speaks. Call with (dict "root" $ "component" "router"). */}}
{{- define "sharq.scheme" -}}
{{- $tls := ternary .root.Values.api.tls .root.Values.link.tls (eq .component "router") -}}
{{- ternary "https" "http" (ne $tls.existingSecret "") -}}
{{- end -}}

{{/* By which name clients reach the routers. */}}
{{- define "sharq.host" -}}
{{- .Values.api.tls.serverName | default (printf "%s.%s.svc" (include "sharq.name" .) .Release.Namespace) -}}
{{- end -}}

{{- define "sharq.url" -}}
{{- printf "%s://%s:%v" (include "sharq.scheme" (dict "root" . "component" "router")) (include "sharq.host" .) .Values.service.port -}}
{{- end -}}

{{/* The link's secret and files, which both ends have: variables, mounts, volumes. */}}
{{- define "sharq.linkEnv" -}}
- {name: SHARQ_CLUSTER_SECRET_FILE, value: /run/secrets/link/{{ .Values.link.key }}}
{{- if .Values.link.tls.existingSecret }}
- {name: SHARQ_CLUSTER_LINK_TLS_CERT, value: /run/secrets/link-tls/tls.crt}
- {name: SHARQ_CLUSTER_LINK_TLS_KEY, value: /run/secrets/link-tls/tls.key}
- {name: SHARQ_CLUSTER_LINK_TLS_CA, value: /run/secrets/link-tls/ca.crt}
{{- end }}
{{- end -}}

{{/* Volumes of secrets, and where they are mounted: whole, for a single file would never be renewed. */}}
{{- define "sharq.secretMounts" -}}
{{- range $name, $secret := . }}
{{- if $secret }}
- {name: {{ $name }}, mountPath: /run/secrets/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sharq.secretVolumes" -}}
{{- range $name, $secret := . }}
{{- if $secret }}
- name: {{ $name }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end -}}

{{/* Liveness asks the process alone; readiness says no while it drains. preStop: first out of the service, then SIGTERM. */}}
{{- define "sharq.life" -}}
{{- $scheme := include "sharq.scheme" . | upper -}}
startupProbe:
  httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
lifecycle:
  preStop:
    exec:
      command: [sleep, {{ .own.preStopSeconds | quote }}]
resources:
  {{- toYaml .own.resources | nindent 2 }}
securityContext:
  {{- include "sharq.containerSecurity" . | nindent 2 }}
{{- end -}}
