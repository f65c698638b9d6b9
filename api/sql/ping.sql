-- Is the connection alive?
select 1
